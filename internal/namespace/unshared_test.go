package namespace

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnshared mounts a file system that only the process started there sees,
// whichever threads the runtime takes.
func TestUnshared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 50 {
		cmd := exec.Command("cat", filepath.Join(dir, "file"))
		var out strings.Builder
		cmd.Stdout = &out
		must(t, Unshared(unix.CLONE_NEWNS, func() error {
			return errors.Join(
				unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
				unix.Mount("berth-test", dir, "tmpfs", 0, ""),
				os.WriteFile(filepath.Join(dir, "file"), []byte("inside"), 0o600),
				cmd.Start())
		}))
		must(t, cmd.Wait())
		if out.String() != "inside" {
			t.Fatalf("the process sees %q", out.String())
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Fatalf("this process sees %v, %v", left, err)
		}
	}
}

func TestUnsharedErrors(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	if err := Unshared(unix.CLONE_NEWNS, func() error { return why }); err != why {
		t.Errorf("got %v", err)
	}
	err := Unshared(-1, func() error { t.Error("called"); return nil })
	if !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v", err)
	}
}
