package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mountBinds calls look with the mounts of binds of a guest, in a private
// mount namespace that prepare has changed before.
func mountBinds(t *testing.T, prepare func() error, look func(m Mounted) error, binds ...Bind) {
	t.Helper()
	r := newRoot(t, t.TempDir())
	r.Binds = binds
	isolated(t, func() error {
		if err := prepare(); err != nil {
			return err
		}
		m, err := r.Mount()
		if err != nil {
			return err
		}
		if len(m.Binds) != len(binds) {
			t.Errorf("%d mounts of %d binds", len(m.Binds), len(binds))
			return nil
		}
		return look(m)
	})
}

func nothing() error { return nil }

// newSource is a directory of the host with a file.
func newSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o750))
	must(t, os.MkdirAll(dir+"/sub", 0o755))
	must(t, os.WriteFile(dir+"/file", []byte("host"), 0o640))
	must(t, os.Chown(dir+"/file", 1000, 100))
	return dir
}

func TestBinds(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	mountBinds(t, nothing, func(m Mounted) error {
		dir, dirRO, file, fileRO := m.Binds[0], m.Binds[1], m.Binds[2], m.Binds[3]
		for path, want := range map[string][2]int{dir: {base, base}, dir + "/file": {base + 1000, base + 100}, dirRO + "/file": {base + 1000, base + 100},
			file: {base + 1000, base + 100}, fileRO: {base + 1000, base + 100}} {
			if got := owner(path); got != want {
				t.Errorf("%s is owned by %v, not %v", path, got, want)
			}
		}
		for _, path := range []string{dirRO + "/file", fileRO} {
			if err := write(path, "guest"); !errors.Is(err, unix.EROFS) {
				t.Errorf("a read-only file is written: %v", err)
			}
		}
		if err := os.Mkdir(dirRO+"/new", 0o755); !errors.Is(err, unix.EROFS) {
			t.Errorf("a read-only directory is written: %v", err)
		}
		wantText(t, s+"/file", "host")
		if len(m.Lost) > 0 {
			t.Errorf("lost: %q", m.Lost)
		}
		return errors.Join(write(dir+"/file", "dir"), write(file, "file"), os.Chown(dir+"/file", base, base+65535))
	}, Bind{s, "/a", false}, Bind{s, "/b", true}, Bind{s + "/file", "/c", false}, Bind{s + "/file", "/d", true})
	wantText(t, s+"/file", "file")
	wantOwners(t, s, map[string][2]int{"file": {0, 65535}})
}

// TestBindOfLink binds what a link leads to.
func TestBindOfLink(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	must(t, os.Symlink("sub", s+"/link"))
	must(t, os.WriteFile(s+"/sub/x", []byte("x"), 0o644))
	mountBinds(t, nothing, func(m Mounted) error {
		wantText(t, m.Binds[0]+"/x", "x")
		return nil
	}, Bind{s + "/link", "/a", false})
}

// TestBindWithMountsBelow shows what is mounted below a source, too, with its
// owners.
func TestBindWithMountsBelow(t *testing.T) {
	t.Parallel()
	s, other := newSource(t), newSource(t)
	mountBinds(t, func() error { return unix.Mount(other, s+"/sub", "", unix.MS_BIND, "") }, func(m Mounted) error {
		for _, b := range m.Binds {
			wantOwners(t, b, map[string][2]int{"file": {base + 1000, base + 100}, "sub/file": {base + 1000, base + 100}})
		}
		if err := write(m.Binds[1]+"/sub/file", "guest"); !errors.Is(err, unix.EROFS) {
			t.Errorf("below a read-only bind a file is written: %v", err)
		}
		if len(m.Lost) > 0 {
			t.Errorf("lost: %q", m.Lost)
		}
		return nil
	}, Bind{s, "/a", false}, Bind{s, "/b", true})
	wantText(t, other+"/file", "host")
}

// TestBindWithUnmappableMountBelow leaves out what is mounted below, which the
// guest would see as nobody's, and says so.
func TestBindWithUnmappableMountBelow(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	must(t, os.Mkdir(s+"/sub/under", 0o755))
	mountBinds(t, func() error { return unix.Mount("proc", s+"/sub", "proc", unix.MS_RDONLY, "") }, func(m Mounted) error {
		wantOwners(t, m.Binds[0], map[string][2]int{"file": {base + 1000, base + 100}, "sub/under": {base, base}, "sub/version": {-1, -1}})
		wantLost(t, m, "bindMounts./a: ", "left out", s)
		return nil
	}, Bind{s, "/a", false})
}

// TestBindOfUnmappable binds of a file system that knows nothing of mapped
// owners.
func TestBindOfUnmappable(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"/proc/sys", "/sys/kernel", "/proc/version"} {
		mountBinds(t, nothing, func(m Mounted) error {
			if got := owner(m.Binds[0]); got != [2]int{0, 0} {
				t.Errorf("%s is owned by %v", source, got)
			}
			wantLost(t, m, "bindMounts./a: ", "nobody", source)
			return nil
		}, Bind{source, "/a", true})
	}
}

func wantLost(t *testing.T, m Mounted, parts ...string) {
	t.Helper()
	if len(m.Lost) != 1 {
		t.Errorf("lost: %q", m.Lost)
		return
	}
	for _, p := range parts {
		if !strings.Contains(m.Lost[0], p) {
			t.Errorf("lost: %q, without %q", m.Lost[0], p)
		}
	}
}

// TestBindOfSpecialFiles binds a socket, a FIFO and a device.
func TestBindOfSpecialFiles(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	must(t, unix.Mkfifo(s+"/fifo", 0o600))
	must(t, unix.Mknod(s+"/socket", unix.S_IFSOCK|0o600, 0))
	mountBinds(t, nothing, func(m Mounted) error {
		for i, want := range []fs.FileMode{fs.ModeNamedPipe, fs.ModeSocket, fs.ModeDevice | fs.ModeCharDevice} {
			if info, err := os.Lstat(m.Binds[i]); err != nil || info.Mode().Type() != want {
				t.Errorf("%s is %v: %v", filepath.Base(m.Binds[i]), info, err)
			}
		}
		return nil
	}, Bind{s + "/fifo", "/a", false}, Bind{s + "/socket", "/b", false}, Bind{"/dev/null", "/c", false})
}

// TestBindPlaces has what is missing above a mount point belong to the guest's
// root, and follows links no further than the guest.
func TestBindPlaces(t *testing.T) {
	t.Parallel()
	s, out := newSource(t), t.TempDir()
	r := newRoot(t, t.TempDir())
	for link, to := range map[string]string{"out": out, "up": "../../../../../../../.." + out, "in": "/home/user", "loop": "loop"} {
		must(t, os.Symlink(to, filepath.Join(r.Image, link)))
	}
	for _, target := range []string{"/a/b/c", "/home/user/d/e", "/in/f/g", "/out/h", "/up/i", "/loop/j", "/etc/passwd/k", "/run/l/m", "/in"} {
		r.Binds = append(r.Binds, Bind{Source: s, Target: target})
	}
	r.Binds = append(r.Binds, Bind{Source: s + "/file", Target: "/o/p/file"})
	isolated(t, func() error {
		m, err := r.Mount()
		if err != nil {
			return err
		}
		root, none := [2]int{base, base}, [2]int{-1, -1}
		wantOwners(t, m.Root, map[string][2]int{"a": root, "a/b": root, "a/b/c": root, "home/user": {base + 1000, base + 100}, "home/user/d/e": root,
			"home/user/f/g": root, "etc/passwd": root, "run": none, "o/p": root, "o/p/file": none})
		return nil
	})
	must(t, os.Chown(r.Changes+"/upper/a/b", 65536, 65536)) // as systemd-nspawn's directories are on disk
	isolated(t, func() error {
		m, err := r.Mount()
		if err != nil {
			return err
		}
		wantOwners(t, m.Root, map[string][2]int{"a/b": {base, base}, "home/user": {base + 1000, base + 100}})
		return nil
	})
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("a link of the guest led to the host: %v, %v", left, err)
	}
}
