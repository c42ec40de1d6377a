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

// TestOwners looks at a root as the host does: the guest's numbers are those
// of its range there, and small ones on disk.
func TestOwners(t *testing.T) {
	t.Parallel()
	r := newRoot(t, t.TempDir())
	isolated(t, func() error {
		m, err := r.Mount()
		if err != nil {
			return err
		}
		wantOwners(t, m.Root, map[string][2]int{".": {base, base}, "etc/passwd": {base, base}, "home/user": {base + 1000, base + 100}, "home/user/file": {base + 1000, base + 65535}})
		if info, err := os.Stat(m.Root + "/etc/su"); err != nil || info.Mode()&os.ModeSetuid == 0 {
			t.Errorf("su lost its bit: %v, %v", info.Mode(), err)
		}
		// What systemd-nspawn does as the host's root.
		err = errors.Join(os.Mkdir(m.Root+"/run", 0o755), os.WriteFile(m.Root+"/etc/machine-id", nil, 0o644), os.Symlink("x", m.Root+"/etc/link"),
			os.Lchown(m.Root+"/run", base, base), os.Lchown(m.Root+"/etc/machine-id", base+1, base+2),
			write(m.Root+"/home/user/file", "changed"), os.Remove(m.Root+"/etc/su"), os.Rename(m.Root+"/etc/passwd", m.Root+"/etc/passwd-"))
		wantOwners(t, m.Root, map[string][2]int{"run": {base, base}, "etc/machine-id": {base + 1, base + 2}, "etc/link": {0, 0},
			"home/user/file": {base + 1000, base + 65535}, "etc/passwd": {-1, -1}, "etc/passwd-": {base, base}})
		return err
	})
	wantOwners(t, r.Changes+"/upper", map[string][2]int{"run": {0, 0}, "etc/machine-id": {1, 2}, "home/user/file": {1000, 65535}, "etc/passwd-": {0, 0}})
	wantText(t, r.Changes+"/upper/home/user/file", "changed")
	wantText(t, r.Image+"/home/user/file", "image")
	wantText(t, r.Image+"/etc/passwd", "image")
	if _, err := os.Lstat(r.Image + "/etc/machine-id"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the image got a file: %v", err)
	}
}

// TestChangesAreKept mounts the same root again.
func TestChangesAreKept(t *testing.T) {
	t.Parallel()
	r := newRoot(t, t.TempDir())
	for _, text := range []string{"image", "first", "second"} {
		isolated(t, func() error {
			m, err := r.Mount()
			if err != nil {
				return err
			}
			wantText(t, m.Root+"/etc/passwd", text)
			wantOwners(t, m.Root, map[string][2]int{"etc/passwd": {base, base}})
			return write(m.Root+"/etc/passwd", map[string]string{"image": "first", "first": "second", "second": ""}[text])
		})
	}
}

// TestAnotherRange mounts the same root with other numbers.
func TestAnotherRange(t *testing.T) {
	t.Parallel()
	r := newRoot(t, t.TempDir())
	for _, b := range []int{base, 2 * base} {
		r.Users.Base = uint32(b)
		isolated(t, func() error {
			m, err := r.Mount()
			if err != nil {
				return err
			}
			wantOwners(t, m.Root, map[string][2]int{"etc/passwd": {b, b}, "home/user/file": {b + 1000, b + 65535}})
			return write(m.Root+"/home/user/file", "changed")
		})
	}
}

func TestEphemeral(t *testing.T) {
	t.Parallel()
	r := newRoot(t, t.TempDir())
	r.Changes = ""
	for range 2 {
		isolated(t, func() error {
			m, err := r.Mount()
			if err != nil {
				return err
			}
			wantText(t, m.Root+"/etc/passwd", "image")
			wantOwners(t, m.Root, map[string][2]int{".": {base, base}, "etc/passwd": {base, base}})
			return errors.Join(write(m.Root+"/etc/passwd", "changed"), os.WriteFile(m.Root+"/new", nil, 0o644), os.Chown(m.Root+"/new", base, base))
		})
	}
	wantText(t, r.Image+"/etc/passwd", "image")
}

// TestNotMapped has a kernel that cannot map layers, and no range at all: the
// numbers are those on disk.
func TestNotMapped(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Root){
		"kernel":    func(r *Root) { r.Unmapped = true },
		"ephemeral": func(r *Root) { r.Unmapped, r.Changes = true, "" },
		"no range":  func(r *Root) { r.Users = IDs{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, t.TempDir())
			change(&r)
			r.Binds = []Bind{{Source: r.Image, Target: "/srv"}}
			isolated(t, func() error {
				m, err := r.Mount()
				if err != nil {
					return err
				}
				wantOwners(t, m.Root, map[string][2]int{"etc/passwd": {0, 0}, "home/user/file": {1000, 65535}})
				first := int(r.Users.Base) // binds are mapped wherever there is a range
				wantOwners(t, m.Binds[0], map[string][2]int{"etc/passwd": {first, first}})
				return errors.Join(os.Chown(m.Root+"/etc/passwd", 5, 6), os.Mkdir(m.Root+"/new", 0o755))
			})
			wantOwners(t, r.Image, map[string][2]int{"etc/passwd": {0, 0}, "new": {-1, -1}})
		})
	}
}

// TestUnusualPaths has every character in paths that means something to a
// parser of mount options.
func TestUnusualPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b", "a,b", "a:b", `a\b`, `\`, `a\,b`, `a\:b\\`, "a=b", "ä\tx", `"`, "lowerdir=x,upperdir=y"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), name)
			must(t, os.Mkdir(dir, 0o755))
			r := newRoot(t, dir)
			r.Binds = []Bind{{Source: filepath.Join(dir, "image"), Target: "/srv/" + name}}
			isolated(t, func() error {
				m, err := r.Mount()
				if err != nil {
					return err
				}
				wantText(t, m.Root+"/etc/passwd", "image")
				wantText(t, m.Binds[0]+"/etc/passwd", "image")
				return os.Mkdir(m.Root+"/new", 0o755)
			})
			if _, err := os.Stat(r.Changes + "/upper/new"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTheHostSeesNothing looks for the mounts in the namespace of the test's
// other threads, and for the host's mounts in the private one.
func TestTheHostSeesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRoot(t, dir)
	isolated(t, func() error {
		if _, err := r.Mount(); err != nil {
			return err
		}
		host, err := os.ReadFile("/proc/self/mountinfo") // of the first thread
		own, err2 := os.ReadFile("/proc/thread-self/mountinfo")
		if strings.Contains(string(host), dir) || !strings.Contains(string(own), dir) {
			t.Errorf("the host's mounts:\n%s\nthe guest's:\n%s", host, own)
		}
		return errors.Join(err, err2)
	})
}

func TestMountErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(r *Root) error
		err    error
		text   string // of the error
	}{
		"no directory": {func(r *Root) error { r.Dir += "/missing"; return nil }, unix.ENOENT, "mount tmpfs on "},
		"no image":     {func(r *Root) error { r.Image += "/missing"; return nil }, unix.ENOENT, "image "},
		"no changes":   {func(r *Root) error { r.Changes += "/missing"; return nil }, unix.ENOENT, "changes "},
		"no upper":     {func(r *Root) error { return os.Remove(r.Changes + "/upper") }, unix.ENOENT, "mount overlay"},
		"no source": {func(r *Root) error { r.Binds = []Bind{{Source: "/nowhere", Target: "/srv"}}; return nil },
			fs.ErrNotExist, "bindMounts./srv: "},
		"an image without owners": {func(r *Root) error { r.Image = "/proc"; return nil }, unix.EINVAL, "image /proc: its file system cannot map owners"},
		"changes without owners": {func(r *Root) error { r.Changes = "/proc"; return nil }, unix.EINVAL,
			"changes /proc: its file system cannot map owners"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, t.TempDir())
			must(t, c.change(&r))
			isolated(t, func() error {
				if _, err := r.Mount(); !errors.Is(err, c.err) || !strings.HasPrefix(err.Error(), c.text) {
					t.Errorf("got %v", err)
				}
				return nil
			})
		})
	}
}

// TestUnfitChanges has changes on a file system that overlayfs takes, but
// mounts read-only.
func TestUnfitChanges(t *testing.T) {
	t.Parallel()
	r := newRoot(t, t.TempDir())
	r.Users = IDs{}
	isolated(t, func() error {
		changes := r.Changes
		if err := unix.Mount(changes, changes, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		if err := unix.Mount("", changes, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return err
		}
		if _, err := r.Mount(); err == nil || !strings.HasPrefix(err.Error(), "mount overlay: ") {
			t.Errorf("changes are kept where nothing can be written: %v", err)
		}
		return nil
	})
}

// TestUncover takes away what others mounted, where there is something.
func TestUncover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	isolated(t, func() error {
		if err := Hide(dir); err != nil {
			return err
		}
		for range 2 {
			if err := Uncover(dir, filepath.Join(dir, "missing")); err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
				return err
			}
		}
		return nil
	})
}
