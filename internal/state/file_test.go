package state

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// content is larger than a page, so that half of it would show.
type content struct {
	Number int
	Text   string
}

func contentOf(i int) content {
	return content{i, strings.Repeat(string(rune('a'+i%26)), 20_000+i%7*1000)}
}

// checkContent reads path and wants some whole content in it.
func checkContent(t *testing.T, path string) content {
	t.Helper()
	var c content
	must(t, ReadJSON(path, &c))
	if c != contentOf(c.Number) {
		t.Fatalf("content %d is mixed with another", c.Number)
	}
	return c
}

func TestWriteJSONUnderReaders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.json")
	must(t, WriteJSON(path, contentOf(0)))
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					var c content
					if err := ReadJSON(path, &c); err != nil || c != contentOf(c.Number) {
						t.Errorf("content %d is not whole: %v", c.Number, err)
						return
					}
				}
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			for i := range 100 {
				if err := WriteRuntimeJSON(path, contentOf(1000*w+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	onlyFile(t, path)
}

// onlyFile wants nothing beside path.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%s is left over", e.Name())
		}
	}
}

// TestWriteJSONKilled kills a writer in the midst of its work, often.
func TestWriteJSONKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.json")
	for range 20 {
		w := start(t, "writer", path)
		for range 3 {
			w.says(t)
		}
		must(t, w.Process.Kill())
		_ = w.Wait()
		checkContent(t, path)
	}
}

func TestWriteJSONErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.json")
	must(t, WriteJSON(path, contentOf(1)))
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
	if err := WriteJSON(path, math.Inf(1)); err == nil {
		t.Error("infinity is written")
	}
	checkContent(t, path)
	must(t, os.Mkdir(filepath.Join(dir, "full"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "full/x"), nil, 0o600))
	if err := WriteJSON(filepath.Join(dir, "full"), 1); err == nil {
		t.Error("a directory is replaced")
	}
	if err := WriteJSON(filepath.Join(dir, "missing/x"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(dir, "full")))
	onlyFile(t, path)
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.json")
	var c content
	if err := ReadJSON(path, &c); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	for _, damaged := range []string{"", "{", "[]", `{"Number":"x"}`, `{"Number":1}{`} {
		must(t, os.WriteFile(path, []byte(damaged), 0o600))
		if err := ReadJSON(path, &c); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}

// TestWriteFile replaces files of another mode and size, whatever the umask is.
func TestWriteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x")
	for i, write := range []func(string, []byte, fs.FileMode) error{WriteFile, WriteRuntimeFile} {
		for _, mode := range []fs.FileMode{0o600, 0o666} {
			want := strings.Repeat(mode.String(), i+1)
			must(t, write(path, []byte(want), mode))
			b, err := os.ReadFile(path)
			must(t, err)
			info, err := os.Stat(path)
			must(t, err)
			if string(b) != want || info.Mode() != mode {
				t.Errorf("%q with the mode %v, not %q with %v", b, info.Mode(), want, mode)
			}
		}
	}
	if err := WriteRuntimeFile(filepath.Dir(path), nil, 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	onlyFile(t, path)
}

// What a process has left that was killed while it wrote is found, and not what
// one is writing.
func TestHalves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ended := exec.Command("true")
	must(t, ended.Run())
	left := filepath.Join(dir, fmt.Sprintf(".tmp-%d-1", ended.ProcessState.Pid()))
	for _, file := range []string{left, filepath.Join(dir, fmt.Sprintf(".tmp-%d-1", os.Getpid())), filepath.Join(dir, ".tmp-x"), filepath.Join(dir, "file")} {
		must(t, os.WriteFile(file, nil, 0o600))
	}
	if got := Halves(dir); len(got) != 1 || got[0] != left {
		t.Errorf("found %q, not %q", got, left)
	}
}
