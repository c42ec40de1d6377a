package engine

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// setAside keeps what the guest of rec changed with its generation.
func (e *Engine) setAside(rec *state.Record) error {
	at := e.setAsideDir(rec.Name, max(rec.Generation, 1))
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	changes := filepath.Join(e.Paths.Container(rec.Name), state.Changes)
	if err := os.Rename(changes, at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ensureChanges makes the directory for changes if it is not there: the one
// that was set aside with the generation of rec, or else an empty one.
func (e *Engine) ensureChanges(rec *state.Record) error {
	dir := e.Paths.Container(rec.Name)
	changes := filepath.Join(dir, state.Changes)
	if _, err := os.Lstat(changes); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(e.setAsideDir(rec.Name, rec.Generation), changes); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, state.SyncDir(dir))
	}
	staging := changes + ".new"
	if err := errors.Join(state.RemoveTree(staging), os.Mkdir(staging, 0o700), rootfs.MakeChanges(staging)); err != nil {
		return err
	}
	if err := os.Rename(staging, changes); err != nil {
		return err
	}
	return state.SyncDir(dir)
}
