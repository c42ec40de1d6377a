package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/state"
)

// Collected is what Collect removed.
type Collected struct {
	Paths []nix.StorePath // sorted
	Freed int64           // bytes of the disk
}

// Collect removes the store paths that neither a root nor one of keep needs.
// Interrupted, it leaves whole closures.
func (s *Store) Collect(ctx context.Context, keep []nix.StorePath) (c Collected, err error) {
	if _, err := os.Lstat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	l, err := s.lock(ctx, nil)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if _, err := s.clean(); err != nil {
		return c, err
	}
	dead, err := s.dead(keep)
	if err != nil {
		return c, err
	}
	for _, p := range slices.Backward(dead) { // who refers before what is referred to
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		if err := s.remove(p); err != nil {
			return c, err
		}
		c.Paths = append(c.Paths, p)
	}
	slices.Sort(c.Paths)
	if err := s.removeStrays(); err != nil {
		return c, err
	}
	c.Freed, err = s.pruneLinks()
	return c, err
}

// dead are the paths that nothing needs, references first.
func (s *Store) dead(keep []nix.StorePath) ([]nix.StorePath, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	roots, err := s.Roots()
	if err != nil {
		return nil, err
	}
	for _, r := range roots {
		keep = append(slices.Clone(keep), r.Paths...)
	}
	keep = slices.DeleteFunc(slices.Clone(keep), func(p nix.StorePath) bool { return !s.Has(p) })
	live, err := s.Closure(keep...)
	if err != nil {
		return nil, err
	}
	infos := map[nix.StorePath]nix.Info{}
	for _, i := range list {
		if _, needed := slices.BinarySearch(live, i.Path); !needed {
			infos[i.Path] = i
		}
	}
	return nix.Order(infos)
}

// remove takes a path out of sight, and then apart.
func (s *Store) remove(p nix.StorePath) error {
	if err := os.Rename(s.record(p), s.newRecord(p)); err != nil {
		return err
	}
	if err := state.SyncDir(s.db()); err != nil {
		return err
	}
	return s.removeStaged(p)
}

// removeStaged removes the tree of a path whose record is in the staging
// directory, wherever it is, and that record last.
func (s *Store) removeStaged(p nix.StorePath) error {
	if !s.Has(p) {
		if err := state.RemoveTree(s.Dir(p)); err != nil {
			return err
		}
	}
	if err := state.RemoveTree(s.staged(p)); err != nil {
		return err
	}
	return state.RemoveFile(s.newRecord(p))
}

// removeStrays removes trees without a record.
func (s *Store) removeStrays() error {
	entries, err := os.ReadDir(s.trees())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !s.Has(nix.StorePath(e.Name())) {
			if err := state.RemoveTree(filepath.Join(s.trees(), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// clean removes what somebody who had the lock before left, and says what.
func (s *Store) clean() (removed []string, err error) {
	entries, err := os.ReadDir(s.staging())
	if err != nil {
		return nil, err
	}
	for _, e := range entries { // records first: they tell of trees elsewhere
		base, isRecord := strings.CutSuffix(e.Name(), ".json")
		if p, err := nix.ParsePath(base); isRecord && err == nil {
			if err := s.removeStaged(p); err != nil {
				return removed, err
			}
			removed = append(removed, s.staged(p))
		}
	}
	for _, e := range entries {
		path := filepath.Join(s.staging(), e.Name())
		if _, err := os.Lstat(path); err != nil {
			continue // it was removed above
		}
		if err := state.RemoveTree(path); err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	if len(removed) > 0 { // and with it the last use of some content
		_, err = s.pruneLinks()
	}
	return removed, err
}

// Sweep removes what interrupted work left behind, never anything of work that
// is still under way, and returns the paths.
func (s *Store) Sweep() (removed []string, err error) {
	entries, err := os.ReadDir(s.staging())
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil, nil // nothing there, as nearly always
	}
	l, err := state.TryLock(s.lockFile())
	if errors.Is(err, state.ErrLocked) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	return s.clean()
}

// Room refuses to take in n bytes where the disk has no room for them.
func (s *Store) Room(n int64) error {
	const reserve = 256 << 20
	var st unix.Statfs_t
	if err := unix.Statfs(s.staging(), &st); err != nil {
		return os.NewSyscallError("statfs", err)
	}
	free := int64(st.Bavail) * st.Bsize
	keep := min(int64(st.Blocks)*st.Bsize/20, reserve)
	if n > free-keep {
		return noRoom(fmt.Errorf("up to %d MiB are to be unpacked, and of the disk with %s %d MiB are free, %d of which stay so", n>>20, s.dir, free>>20, keep>>20))
	}
	return nil
}
