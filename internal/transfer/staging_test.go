package transfer

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// What a killed copy has left goes with the next one to the same place, and
// that of a copy which is under way stays.
func TestStaging(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	from, to := filepath.Join(t.TempDir(), "file"), filepath.Join(s.dir, "file")
	must(t, os.WriteFile(from, []byte("new"), 0o600))

	left, unlock, err := newStaging(to)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(left, "file"), []byte("half"), 0o600))
	must(t, copyTo(t, from, to, Options{}))
	if _, err := os.Stat(filepath.Join(left, "file")); err != nil {
		t.Errorf("of a copy that is under way: %v", err)
	}
	must(t, unlock()) // as the kernel does for one that is killed
	must(t, copyTo(t, from, to, Options{}))
	s.check(t)
}

func TestStagingMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	from := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(from, []byte("new"), 0o600))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 30 {
				if err := copyTo(t, from, filepath.Join(s.dir, "file"), Options{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.check(t)
}
