package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newStore is a store with a tree, a file, a link and something secret, as
// Nix makes them.
func newStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, lay(dir, "tree/bin/", "tree/bin/tool", "secret/", "secret/file"))
	must(t, os.WriteFile(dir+"/file", []byte("content"), 0o444))
	must(t, os.WriteFile(dir+"/tree/bin/tool", []byte("tool"), 0o555))
	must(t, os.Symlink("/nix/store/tree", dir+"/link"))
	old := time.Unix(1, 0)
	for _, f := range []string{"/file", "/tree"} {
		must(t, os.Chtimes(dir+f, old, old))
	}
	must(t, errors.Join(os.Chmod(dir+"/tree/bin/tool", 0o555), os.Chmod(dir+"/tree", 0o555)))
	t.Cleanup(func() { _ = os.Chmod(dir+"/tree", 0o755) })
	return dir
}

// bare is a guest that starts from nothing but some of the store.
func bare(t *testing.T, store Store) Root {
	t.Helper()
	r := newRoot(t, t.TempDir())
	r.Image, r.Store = "", store
	return r
}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, users := range map[string]IDs{"mapped": ids(), "of the host": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			r := bare(t, Store{Dir: store, Names: []string{"file", "link", "tree"}})
			r.Users = users
			first := int(users.Base)
			isolated(t, func() error {
				m, err := r.Mount()
				if err != nil {
					return err
				}
				if got := names(m.Store); !slices.Equal(got, []string{"file", "link", "tree"}) || len(m.Lost) > 0 {
					t.Errorf("the guest sees %q, lost %q", got, m.Lost)
				}
				wantOwners(t, m.Store, map[string][2]int{".": {first, first}, "file": {first, first}, "link": {first, first}, "tree": {first, first}, "tree/bin/tool": {first, first}, "secret": {-1, -1}})
				wantText(t, m.Store+"/file", "content")
				wantText(t, m.Store+"/tree/bin/tool", "tool")
				for file, mode := range map[string]fs.FileMode{".": 0o555, "file": 0o444, "tree": 0o555, "tree/bin/tool": 0o555} {
					if info, err := os.Stat(m.Store + "/" + file); err != nil || info.Mode().Perm() != mode || file != "tree/bin/tool" && info.ModTime().Unix() != 1 {
						t.Errorf("%s: %v, %v", file, info, err)
					}
				}
				wantUnwritable(t, m.Store)
				return nil
			})
			if got := names(store); len(got) != 4 {
				t.Errorf("the store has %q", got)
			}
		})
	}
}

// wantUnwritable tries to change a closure as the host's root.
func wantUnwritable(t *testing.T, store string) {
	t.Helper()
	for what, err := range map[string]error{
		"write":   write(store+"/tree/bin/tool", "x"),
		"a file":  write(store+"/file", "x"),
		"make":    os.Mkdir(store+"/new", 0o755),
		"remove":  os.Remove(store + "/file"),
		"chmod":   os.Chmod(store+"/file", 0o777),
		"remount": unix.Mount("", filepath.Dir(store), "", unix.MS_REMOUNT, ""),
	} {
		if !errors.Is(err, unix.EROFS) && !(what == "remount" && err != nil) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWholeStore shows what comes later, too.
func TestWholeStore(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	r := bare(t, Store{Dir: store, Whole: true})
	isolated(t, func() error {
		m, err := r.Mount()
		if err != nil {
			return err
		}
		must(t, os.WriteFile(store+"/later", []byte("later"), 0o444))
		wantText(t, m.Store+"/later", "later")
		wantOwners(t, m.Store, map[string][2]int{"later": {base, base}})
		if err := os.Remove(m.Store + "/later"); !errors.Is(err, unix.EROFS) {
			t.Errorf("the store is written: %v", err)
		}
		return nil
	})
}

// TestStoreNotMapped has a kernel whose overlays cannot map owners, and a file
// system that cannot: an overlay itself.
func TestStoreNotMapped(t *testing.T) {
	t.Parallel()
	for want, prepare := range map[string]func(r *Root) error{
		"Linux 5.19": func(r *Root) error { r.Unmapped = true; return nil },
		"its file system cannot map ": func(r *Root) error {
			return unix.Mount("test", r.Store.Dir, "overlay", 0, "lowerdir="+r.Store.Dir+":/etc")
		},
	} {
		r := bare(t, Store{Dir: newStore(t), Names: []string{"file", "tree"}})
		isolated(t, func() error {
			if err := prepare(&r); err != nil {
				return err
			}
			m, err := r.Mount()
			if err != nil {
				return err
			}
			wantLost(t, m, "nobody", want)
			wantText(t, m.Store+"/file", "content")
			wantText(t, m.Store+"/tree/bin/tool", "tool")
			return nil
		})
	}
}

func TestStoreErrors(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	must(t, unix.Mkfifo(store+"/fifo", 0o600))
	for want, s := range map[string]Store{
		"store /nowhere: no such file":      {Dir: "/nowhere", Names: []string{"a"}},
		": gone: file does not exist":       {Dir: store, Names: []string{"tree", "gone"}},
		": ../x: it is not the name of a":   {Dir: store, Names: []string{"../x"}},
		": ..: it is not the name of a":     {Dir: store, Names: []string{".."}},
		": fifo: it is neither a directory": {Dir: store, Names: []string{"fifo"}},
		": tree: file exists":               {Dir: store, Names: []string{"tree", "tree"}},
	} {
		r := bare(t, s)
		isolated(t, func() error {
			if _, err := r.Mount(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v", s, err)
			}
			return nil
		})
	}
}

// TestBare keeps what the guest changes in a root that starts from nothing.
func TestBare(t *testing.T) {
	t.Parallel()
	r := bare(t, Store{})
	for i := range 2 {
		isolated(t, func() error {
			m, err := r.Mount()
			if err != nil {
				return err
			}
			wantOwners(t, m.Root, map[string][2]int{".": {base, base}, "usr": {base, base}, "etc/os-release": {base, base}, "etc/machine-id": {base, base}, "nix": {base, base}, "nix/store": {base, base}})
			if i > 0 {
				wantText(t, m.Root+"/etc/machine-id", "id")
				wantOwners(t, m.Root, map[string][2]int{"var": {base + 7, base + 7}})
				return nil
			}
			return errors.Join(write(m.Root+"/etc/machine-id", "id"), os.Mkdir(m.Root+"/var", 0o755), os.Chown(m.Root+"/var", base+7, base+7))
		})
	}
	wantOwners(t, r.Changes+"/upper", map[string][2]int{"etc": {0, 0}, "var": {7, 7}})
	r.Changes = ""
	isolated(t, func() error {
		m, err := r.Mount()
		if err != nil {
			return err
		}
		wantOwners(t, m.Root, map[string][2]int{".": {base, base}, "var": {-1, -1}, "etc/machine-id": {base, base}})
		return os.Mkdir(m.Root+"/new", 0o755)
	})
}

// TestThousandNames is about time: it is spent before every start. It counts
// that of the processor, of which others may want some meanwhile.
func TestThousandNames(t *testing.T) {
	dir := t.TempDir()
	s := Store{Dir: dir}
	for i := range 1000 {
		name := fmt.Sprintf("%032d-package", i)
		must(t, os.MkdirAll(filepath.Join(dir, name, "bin"), 0o755))
		s.Names = append(s.Names, name)
	}
	best := time.Hour
	for range 5 {
		r := bare(t, s)
		isolated(t, func() error {
			if err := errors.Join(os.MkdirAll(r.Dir, 0o755), unix.Mount("berth", r.Dir, "tmpfs", 0, "")); err != nil {
				return err
			}
			users, layers, err := r.userNamespaces()
			if err != nil {
				return err
			}
			defer users.Close()
			defer layers.Close()
			begun := threadTime(t)
			at, _, err := r.mountStore(users, layers)
			best = min(best, threadTime(t)-begun)
			if got := names(at); !slices.Equal(got, s.Names) {
				t.Errorf("%d names", len(got))
			}
			return err
		})
	}
	t.Logf("1000 packages are mounted in %v", best)
	if best > 30*time.Millisecond {
		t.Errorf("1000 packages take %v to mount, at most 30 ms are allowed", best)
	}
}

// threadTime is how long this thread has run so far.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Error(err)
	}
	return time.Duration(now.Nano())
}

// names are those of the files in a directory, sorted.
func names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
