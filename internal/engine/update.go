package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// update makes the stored container as it is wanted, and the running one where
// that does not disturb it. A guest that goes from one system to another has
// it when update returns, by a switch or a restart; any other is left stopped
// with s.Restart.
func (e *Engine) update(ctx context.Context, w Wish, c plan.Wanted, s container.Step) error {
	rec, err := e.record(c.Name)
	if err != nil {
		return err
	}
	next := *rec
	next.Owner, next.Spec = c.Owner, c.Spec
	if err := e.updateOrigin(ctx, w, &next, c, rec.Spec, s); err != nil {
		return err
	}
	if next.Spec.Root != rec.Spec.Root {
		next.Root = next.Spec.Root
		if err := makeRoot(next.Spec); err != nil {
			return err
		}
	}
	if s.Restart {
		if err := e.ready(&next); err != nil {
			return err
		}
	}
	if err := e.succeed(rec, &next, c.Generation); err != nil {
		return err
	}
	switch {
	case s.Switch:
		err := e.switchInPlace(ctx, w, *rec, next)
		if now, err2 := e.record(c.Name); err2 != nil || now.Generation != next.Generation {
			return errors.Join(err, err2)
		}
		return errors.Join(err, e.applyLive(ctx, c))
	case s.Restart && rec.System != "" && next.System != "":
		return e.restartInto(ctx, w, *rec, next)
	case s.Restart:
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
	return errors.Join(e.ensureChanges(&next), e.prune(&next), e.applyLive(ctx, c))
}

// updateOrigin fetches what the guest of next boots, where that is another one
// than before.
func (e *Engine) updateOrigin(ctx context.Context, w Wish, next *state.Record, c plan.Wanted, before container.Spec, s container.Step) error {
	switch {
	case c.System != "" && c.System == next.System:
		next.Flake = c.Flake
		return e.takeSystem(ctx, next.Name, next.Spec, next.System)
	case c.System != "":
		if err := e.takeSystem(ctx, next.Name, next.Spec, c.System); err != nil {
			return err
		}
		next.System, next.Flake, next.Digest = c.System, c.Flake, ""
	case c.Generation != 0:
		next.System, next.Flake, next.Digest = "", "", c.Digest
		return e.origin(next)
	case !next.Spec.Image.IsZero() && (s.Effect == container.EffectRecreate || before.Image != next.Spec.Image):
		img, err := w.images.Get(ctx, next.Spec.Image)
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
	if err != nil || !slices.Contains([]container.State{container.Running, container.Paused}, obs.State) {
		return err
	}
	if err := e.updateNetwork(ctx, c); err != nil {
		return err
	}
	return e.supervisor.SetLimits(c.Name, c.Spec.Limits)
}
