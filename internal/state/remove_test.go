package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRemoveTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	must(t, os.MkdirAll(outside, 0o755))
	must(t, os.WriteFile(outside+"/keep", []byte("x"), 0o644))
	for name, lay := range map[string]func(path string) error{
		"nothing":     func(string) error { return nil },
		"a file":      func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"a link":      func(p string) error { return os.Symlink(outside, p) },
		"a dead link": func(p string) error { return os.Symlink("nowhere", p) },
		"a fifo":      func(p string) error { return unix.Mkfifo(p, 0o644) },
		"a directory": func(p string) error { return os.MkdirAll(p+"/a/b/c", 0o000) },
		"links inside": func(p string) error {
			return errors.Join(os.MkdirAll(p+"/a", 0o755), os.Symlink(outside, p+"/a/dir"), os.Symlink(outside+"/keep", p+"/a/file"), os.Symlink("..", p+"/a/up"))
		},
		"a hard link": func(p string) error { return os.Link(outside+"/keep", p) },
		"many": func(p string) error {
			err := os.Mkdir(p, 0o755)
			for i := range 3000 {
				err = errors.Join(err, os.WriteFile(fmt.Sprintf("%s/%d", p, i), nil, 0o644))
			}
			return err
		},
		"immutable": func(p string) error {
			return errors.Join(os.MkdirAll(p+"/var/empty/sub/sub", 0o755), os.WriteFile(p+"/var/empty/file", nil, 0o644),
				os.Symlink(outside, p+"/var/empty/link"), unix.Mkfifo(p+"/var/empty/fifo", 0o644),
				setFlags(p+"/var/empty/file", immutableFlag), setFlags(p+"/var/empty/sub/sub", immutableFlag), setFlags(p+"/var/empty/sub", immutableFlag),
				setFlags(p+"/var/empty", immutableFlag), setFlags(p+"/var", appendFlag), setFlags(p, immutableFlag))
		},
		"an immutable file": func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o644), setFlags(p, immutableFlag)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "tree")
			t.Cleanup(func() { clearAllFlags(path) })
			must(t, lay(path))
			for range 2 { // the second time there is nothing to do
				must(t, RemoveTree(path))
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it is still there: %v", err)
				}
			}
			if b, err := os.ReadFile(outside + "/keep"); err != nil || string(b) != "x" {
				t.Errorf("what lies outside changed: %q, %v", b, err)
			}
		})
	}
}

func TestRemoveTreeWithoutParent(t *testing.T) {
	t.Parallel()
	must(t, RemoveTree(filepath.Join(t.TempDir(), "a/b/c")))
}

// TestRemoveTreeDeep removes a chain of directories that is deeper than a
// process may have files open, with a file on every level and names in the way
// of those that RemoveTree gives.
func TestRemoveTreeDeep(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{maxDepth - 1, maxDepth, maxDepth + 1, 2*maxDepth + 1, 5000} {
		t.Run(fmt.Sprint(levels), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "tree")
			t.Cleanup(func() { clearAllFlags(path) })
			must(t, os.MkdirAll(path+"/.deep-1/x", 0o755))
			must(t, os.WriteFile(path+"/.deep-2", nil, 0o644))
			must(t, dig(path, levels))
			must(t, setFlags(path, immutableFlag))
			must(t, RemoveTree(path))
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}

// dig makes a chain of directories below path, which exists, every 100th of
// them immutable.
func dig(path string, levels int) error {
	at, err := unix.Open(path, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	for i := range levels {
		if err := unix.Mkdirat(at, "d", 0o755); err != nil {
			return err
		}
		next, err := unix.Openat(at, "d", unix.O_DIRECTORY|unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		f, err := unix.Openat(next, "file", unix.O_CREAT|unix.O_WRONLY, 0o644)
		if err == nil {
			err = unix.Close(f)
		}
		if err == nil && i > 0 && i%100 == 0 {
			err = unix.IoctlSetPointerInt(at, unix.FS_IOC_SETFLAGS, immutableFlag)
		}
		if err := errors.Join(err, unix.Close(at)); err != nil {
			return err
		}
		at = next
	}
	return unix.Close(at)
}

const (
	immutableFlag = 0x10 // FS_IMMUTABLE_FL
	appendFlag    = 0x20 // FS_APPEND_FL
)

func setFlags(path string, flags int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return os.NewSyscallError("set flags", unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags))
}

// clearAllFlags lets the test's directory be removed if RemoveTree did not.
func clearAllFlags(path string) {
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type().IsRegular()) {
			_ = setFlags(p, 0)
		}
		return nil
	})
}

// TestRemoveTreeStopsAtMounts keeps what is mounted in the tree, of whatever
// kind: it is somebody's data.
func TestRemoveTreeStopsAtMounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at    string // below the tree, which has d/ and d/file
		mount func(data, at string) error
		keep  string // below at
	}{
		"tmpfs": {"d", func(_, at string) error {
			return errors.Join(unix.Mount("test", at, "tmpfs", 0, ""), os.WriteFile(at+"/keep", []byte("x"), 0o644))
		}, "/keep"},
		"bind of a directory": {"d", bind, "/keep"},
		"bind of a file":      {"d/file", func(data, at string) error { return bind(data+"/keep", at) }, ""},
		"the tree itself":     {"", bind, "/keep"},
		"twice": {"d", func(data, at string) error {
			return errors.Join(bind(data, at), unix.Mount("test", at, "tmpfs", 0, ""), os.WriteFile(at+"/keep", []byte("x"), 0o644))
		}, "/keep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, tree := t.TempDir(), filepath.Join(t.TempDir(), "tree")
			must(t, os.WriteFile(data+"/keep", []byte("x"), 0o644))
			must(t, os.MkdirAll(tree+"/d", 0o755))
			must(t, os.WriteFile(tree+"/d/file", nil, 0o644))
			inMountNamespace(t, func() {
				at := filepath.Join(tree, c.at)
				if err := c.mount(data, at); err != nil {
					t.Error(err)
					return
				}
				if err := RemoveTree(tree); err == nil {
					t.Error("it is removed")
				} else if !strings.Contains(err.Error(), tree) {
					t.Errorf("the error does not say where: %v", err)
				}
				if b, err := os.ReadFile(at + c.keep); err != nil || string(b) != "x" {
					t.Errorf("what was mounted is damaged: %q, %v", b, err)
				}
			})
			if b, err := os.ReadFile(data + "/keep"); err != nil || string(b) != "x" {
				t.Errorf("the data is damaged: %q, %v", b, err)
			}
		})
	}
}

func bind(from, to string) error { return unix.Mount(from, to, "", unix.MS_BIND, "") }

// inMountNamespace calls f on a thread with a mount namespace of its own. Both
// end with f.
func inMountNamespace(t *testing.T, f func()) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // and never unlocked
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
			t.Errorf("these tests mount, as root: %v", err)
			return
		}
		f()
	})
	wg.Wait()
}

// A program that a killed command has left may still add to what is removed.
func TestRemoveTreeMeanwhile(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := filepath.Join(t.TempDir(), "dir")
		must(t, os.MkdirAll(dir+"/sub", 0o755))
		var adding sync.WaitGroup
		for i := range 4 {
			at := []string{dir, dir + "/sub"}[i%2]
			adding.Go(func() {
				for n := 0; n < 200 && os.WriteFile(fmt.Sprint(at, "/", i, "-", n), nil, 0o644) == nil; n++ {
				}
			})
		}
		must(t, RemoveTree(dir))
		adding.Wait()
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("it is still there: %v", err)
		}
	}
}

// Two that find the same leftover remove it together.
func TestRemoveTreeTwice(t *testing.T) {
	t.Parallel()
	for range 50 {
		dir := filepath.Join(t.TempDir(), "dir")
		for i := range 20 {
			must(t, os.MkdirAll(fmt.Sprintf("%s/%d/sub", dir, i), 0o755))
		}
		var removing sync.WaitGroup
		for range 3 {
			removing.Go(func() {
				if err := RemoveTree(dir); err != nil {
					t.Error(err)
				}
			})
		}
		removing.Wait()
	}
}
