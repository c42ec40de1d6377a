package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
	"github.com/berth-containers/berth/internal/state"
)

// stage is the directory of one import: lock, tmp/ and image/, which becomes
// the image. As long as the process lives it holds the lock.
type stage struct {
	path string
	lock *state.Lock
}

func (st *stage) tmp() string    { return filepath.Join(st.path, "tmp") }
func (st *stage) image() string  { return filepath.Join(st.path, "image") }
func (st *stage) rootfs() string { return filepath.Join(st.image(), "rootfs") }

// newStage makes a stage under the lock of the store, so that Sweep never
// sees one that is not locked yet.
func (s *Store) newStage(ctx context.Context) (st *stage, err error) {
	l, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	path, err := os.MkdirTemp(s.staging(), "import-")
	if err != nil {
		return nil, err
	}
	st = &stage{path: path}
	if st.lock, err = state.TryLock(filepath.Join(path, "lock")); err != nil {
		return nil, errors.Join(err, state.RemoveTree(path))
	}
	for _, dir := range []string{st.tmp(), st.image(), st.rootfs()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, errors.Join(err, st.drop())
		}
	}
	return st, nil
}

// drop removes what is left of the stage.
func (st *stage) drop() error {
	return errors.Join(state.RemoveTree(st.path), st.lock.Unlock())
}

// finish checks the tree and writes what is known of it, all to the disk.
func (st *stage) finish(ctx context.Context, digest container.Digest) error {
	root, err := os.OpenRoot(st.rootfs())
	if err != nil {
		return err
	}
	defer root.Close()
	if err := verify(root); err != nil {
		return err
	}
	top, err := root.Open(".")
	if err != nil {
		return err
	}
	defer top.Close()
	if err := errors.Join(top.Chown(0, 0), top.Chmod(0o755)); err != nil {
		return err
	}
	size, err := archive.Usage(ctx, root)
	if err != nil {
		return err
	}
	// A power failure must not leave an image with empty files.
	if err := unix.Syncfs(int(top.Fd())); err != nil {
		return os.NewSyscallError("syncfs", err)
	}
	return state.WriteJSON(filepath.Join(st.image(), "image.json"), imageRecord{
		Version: formatVersion, Digest: digest, Size: size, Created: time.Now().UTC(), OS: osName(top),
	})
}

// commit moves the image to its place, or leaves it where it is if the store
// has it already.
func (s *Store) commit(ctx context.Context, st *stage, digest container.Digest) (err error) {
	l, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if _, err := os.Lstat(s.image(digest)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(st.image(), s.image(digest)); err != nil {
		return err
	}
	return state.SyncDir(s.images())
}

// Sweep removes what interrupted imports and removals left behind, never
// anything of those that are still under way, and returns the paths.
func (s *Store) Sweep(ctx context.Context) (removed []string, err error) {
	if _, err := os.Lstat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	l, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	stages, err := filepath.Glob(filepath.Join(s.staging(), "*"))
	if err != nil {
		return nil, err
	}
	temps, err := filepath.Glob(filepath.Join(s.dir, ".tmp-*"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(stages, temps...) {
		if ctx.Err() != nil {
			return removed, context.Cause(ctx)
		}
		if state.Held(filepath.Join(path, "lock")) {
			continue
		}
		if err := state.RemoveTree(path); err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	return removed, nil
}
