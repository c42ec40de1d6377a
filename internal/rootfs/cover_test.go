package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCoverStore gives a guest another store while it runs: of two directories,
// over the one that it has. The thread that has its root is the guest.
func TestCoverStore(t *testing.T) {
	t.Parallel()
	for name, users := range map[string]IDs{"mapped": ids(), "of the host": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, other, first := newStore(t), t.TempDir(), int(users.Base)
			must(t, lay(other, "extra/", "extra/file"))
			r := bare(t, Store{Dir: store, Names: []string{"file"}})
			r.Users = users
			next := Root{Dir: filepath.Join(t.TempDir(), "store"), Users: users,
				Store: Store{Dir: store, Names: []string{"file", "tree"}, More: []Store{{Dir: other, Names: []string{"extra"}}}}}
			isolated(t, func() error {
				m, err := r.Mount()
				if err != nil {
					return err
				}
				seen := m.Root + "/nix/store"
				if err := unix.Mount(m.Store, seen, "", unix.MS_BIND, ""); err != nil {
					return err
				}
				before, err := os.Open(seen + "/file")
				if err != nil {
					return err
				}
				root, err := os.OpenFile(m.Root, unix.O_PATH|unix.O_DIRECTORY, 0)
				if err != nil {
					return err
				}
				defer root.Close()
				if lost, err := next.CoverStore(unix.Gettid(), root); err != nil || lost != "" {
					t.Errorf("%q, %v", lost, err)
				}
				if got := names(seen); !slices.Equal(got, []string{"extra", "file", "tree"}) {
					t.Errorf("the guest sees %q", got)
				}
				wantText(t, seen+"/tree/bin/tool", "tool")
				wantOwners(t, seen, map[string][2]int{".": {first, first}, "extra": {first, first}, "extra/file": {first, first}, "tree/bin/tool": {first, first}})
				wantUnwritable(t, seen)
				if at, err := os.Readlink("/proc/thread-self/fd/" + strconv.Itoa(int(before.Fd()))); err != nil || at != seen+"/file" { // as programs find themselves
					t.Errorf("what was open is %s by now, %v", at, err)
				}
				return before.Close()
			})
			if got := names(next.Dir); len(got) > 0 {
				t.Errorf("%q is left", got)
			}
		})
	}
}

// TestCoverStoreOfLinks has the guest lay a link in the place of its store.
func TestCoverStoreOfLinks(t *testing.T) {
	t.Parallel()
	r := bare(t, Store{Dir: newStore(t), Names: []string{"file"}})
	isolated(t, func() error {
		dir := t.TempDir()
		if err := errors.Join(os.Mkdir(dir+"/nix", 0o755), os.Mkdir(dir+"/else", 0o755), os.Symlink("/else", dir+"/nix/store")); err != nil {
			return err
		}
		root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer root.Close()
		if _, err := r.CoverStore(unix.Gettid(), root); !errors.Is(err, unix.ELOOP) {
			t.Errorf("it is followed: %v", err)
		}
		return nil
	})
}
