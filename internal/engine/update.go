package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// update makes the stored container as it is wanted, and the running one where
// that does not disturb it. With s.Restart it is left stopped.
func (e *Engine) update(ctx context.Context, c plan.Wanted, s container.Step) error {
	rec, err := e.record(c.Name)
	if err != nil {
		return err
	}
	next := *rec
	next.Owner, next.Spec = c.Owner, c.Spec
	if err := e.updateOrigin(ctx, &next, c, rec.Spec, s); err != nil {
		return err
	}
	if s.Restart {
		if err := e.ready(&next); err != nil {
			return err
		}
		if err := e.supervisor.Stop(ctx, c.Name, StopLimit); err != nil {
			return err
		}
	}
	if next.Digest != rec.Digest {
		if err := e.setAside(rec); err != nil {
			return err
		}
	}
	if err := e.writeChosen(ctx, next); err != nil {
		return err
	}
	return errors.Join(e.trimSystems(&next), e.applyLive(ctx, c))
}

// updateOrigin fetches what the guest of next boots, where that is another one
// than before.
func (e *Engine) updateOrigin(ctx context.Context, next *state.Record, c plan.Wanted, before container.Spec, s container.Step) error {
	changed := func(key string) bool {
		return slices.ContainsFunc(s.Changes, func(c container.Change) bool { return c.Key == key })
	}
	if c.System == next.System {
		next.Flake = c.Flake
	}
	switch {
	case c.System != "" && (next.System == "" || changed("system")):
		if err := e.closures.Take(ctx, next.Name, c.System); err != nil {
			return err
		}
		next.System, next.Flake, next.Digest = c.System, c.Flake, ""
	case !next.Spec.Image.IsZero() && (s.Effect == container.EffectRecreate || before.Image != next.Spec.Image):
		img, err := e.Images.Get(ctx, next.Spec.Image)
		if err != nil {
			return err
		}
		next.System, next.Flake, next.Digest = "", "", img.Digest
	}
	return nil
}

// applyLive changes what a guest that goes on running gets of the host.
func (e *Engine) applyLive(ctx context.Context, c plan.Wanted) error {
	obs, err := e.supervisor.Observe(c.Name)
	if err != nil || obs.State != container.Running && obs.State != container.Paused {
		return err
	}
	if err := e.updateNetwork(ctx, c); err != nil {
		return err
	}
	return e.supervisor.SetLimits(c.Name, c.Spec.Limits)
}

// setAside keeps what the guest of rec changed as a generation, and gives the
// container an empty directory for changes.
func (e *Engine) setAside(rec *state.Record) error {
	dir := e.Paths.Container(rec.Name)
	changes := filepath.Join(dir, state.Changes)
	number := 1
	generation := func() string { return filepath.Join(dir, "generations", strconv.Itoa(number)) }
	for ; ; number++ {
		if _, err := os.Lstat(generation()); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
	}
	if err := os.MkdirAll(generation(), 0o700); err != nil {
		return err
	}
	if err := state.WriteRecord(generation(), *rec); err != nil {
		return err
	}
	if err := os.Rename(changes, filepath.Join(generation(), state.Changes)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return e.ensureChanges(rec.Name)
}

// ensureChanges makes the directory for changes if it is not there, which a
// killed setAside leaves so.
func (e *Engine) ensureChanges(n container.Name) error {
	dir := e.Paths.Container(n)
	changes := filepath.Join(dir, state.Changes)
	if _, err := os.Lstat(changes); !errors.Is(err, os.ErrNotExist) {
		return err
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
