package rootfs

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOwn has a guest change its store, which the host's is not touched by, and
// gives it back what it is given.
func TestOwn(t *testing.T) {
	t.Parallel()
	for name, users := range map[string]IDs{"mapped": ids(), "of the host": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, own := newStore(t), filepath.Join(t.TempDir(), "own")
			first := int(users.Base)
			for _, round := range []struct {
				given, has []string
				whiteouts  []string
			}{
				{[]string{"file", "tree"}, []string{"file", "tree"}, nil},
				{nil, []string{"built"}, []string{"file", "tree"}},
				{[]string{"tree"}, []string{"built", "tree"}, []string{"file", "tree"}},
			} {
				must(t, ClearOwn(own))
				gone, err := Whiteouts(Own{Dir: own})
				if got := slices.Sorted(maps.Keys(gone)); err != nil || !slices.Equal(got, round.whiteouts) {
					t.Errorf("whiteouts %q, not %q: %v", got, round.whiteouts, err)
				}
				r := bare(t, Store{Dir: store, Names: []string{"file", "tree"}, Own: &Own{Dir: own, Given: round.given}})
				r.Users = users
				isolated(t, func() error {
					m, err := r.Mount()
					if err != nil {
						return err
					}
					if got := names(m.Store); !slices.Equal(got, round.has) {
						t.Errorf("the guest sees %q, not %q", got, round.has)
					}
					wantOwners(t, m.Store, map[string][2]int{".": {first, first}, round.has[0]: {first, first}, "secret": {-1, -1}})
					var st unix.Statfs_t
					if err := unix.Statfs(m.Store, &st); err != nil || st.Flags&(unix.ST_NOSUID|unix.ST_NODEV|unix.ST_RDONLY) != 0 {
						t.Errorf("flags %#x, %v", st.Flags, err)
					}
					built := m.Store + "/built"
					return errors.Join(os.WriteFile(built, []byte("built"), 0o444), os.Chown(built, first, first), os.RemoveAll(m.Store+"/file"), os.RemoveAll(m.Store+"/tree"))
				})
				if got := names(store); len(got) != 4 {
					t.Errorf("the host's store has %q", got)
				}
			}
			if got := owner(own + "/upper/built"); got != [2]int{0, 0} {
				t.Errorf("on disk it belongs to %v", got)
			}
		})
	}
}

// TestOwnCovered gives a running guest another closure under what it has changed,
// which is kept on disk or in memory.
func TestOwnCovered(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		store := newStore(t)
		now := &Own{}
		if kept {
			now.Dir = filepath.Join(t.TempDir(), "own")
			must(t, ClearOwn(now.Dir))
		}
		r := bare(t, Store{Dir: store, Names: []string{"file"}, Own: now})
		r.Users = ids()
		isolated(t, func() error {
			m, err := r.Mount()
			if err != nil {
				return err
			}
			seen := m.Root + "/nix/store"
			if err := errors.Join(unix.Mount(m.Store, seen, "", unix.MS_BIND, ""), os.WriteFile(seen+"/built", []byte("built"), 0o444), os.WriteFile(seen+"/tree", []byte("the guest's"), 0o444), os.Remove(seen+"/file")); err != nil {
				return err
			}
			next := Root{Dir: filepath.Join(t.TempDir(), "store"), Users: ids(), Store: Store{Dir: store, Names: []string{"file", "tree"}, Own: &Own{Dir: now.Dir, Given: []string{"tree"}}}}
			if !kept {
				next.Store.Own.Of, next.Store.Own.Dir = unix.Gettid(), r.OwnDir()
			}
			if gone, err := Whiteouts(*next.Store.Own); err != nil || !gone["file"] || len(gone) != 1 {
				t.Errorf("whiteouts %v, %v", gone, err)
			}
			root, err := os.OpenFile(m.Root, unix.O_PATH|unix.O_DIRECTORY, 0)
			if err != nil {
				return err
			}
			defer root.Close()
			if lost, err := next.CoverStore(unix.Gettid(), root); err != nil || lost != "" {
				t.Errorf("%q, %v", lost, err)
			}
			if got := names(seen); !slices.Equal(got, []string{"built", "tree"}) {
				t.Errorf("the guest sees %q", got)
			}
			wantText(t, seen+"/built", "built")
			wantText(t, seen+"/tree/bin/tool", "tool")
			return os.WriteFile(seen+"/more", nil, 0o444)
		})
	}
}
