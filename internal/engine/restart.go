package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// restartInto stops the guest of rec and starts it as next, or again as it was
// where it does not come up or is not healthy.
func (e *Engine) restartInto(ctx context.Context, w Wish, rec, next state.Record) error {
	before, err := e.departure(rec)
	if err != nil {
		return err
	}
	t := &state.Transition{Before: before, After: next, Restart: true}
	if obs, err := e.supervisor.Observe(rec.Name); err == nil && obs.State == container.Running {
		if units, err := e.guestUnits(ctx, rec.Name); err == nil { // one that does not answer is restarted all the same
			t.Failed = units.failed
		}
	}
	if err := e.Paths.WriteTransition(*t); err != nil {
		return err
	}
	if err := e.writeChosen(ctx, next); err != nil {
		return err
	}
	trouble := e.restart(ctx, rec.Name)
	if trouble == nil {
		limit, cancel := healthWindow(ctx, next.Spec)
		defer cancel()
		trouble = e.awaitHealth(limit, t, nil)
	}
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case trouble == nil:
		return e.arrive(ctx, t, "")
	}
	t.Back = trouble.Error()
	return e.notHealthy(ctx, w, t, e.restartBack)
}

// bringUp starts the guest with the container's record, and waits until it is
// ready.
func (e *Engine) bringUp(ctx context.Context, n container.Name) error {
	rec, err := e.record(n)
	if err != nil {
		return err
	}
	if err := e.start(ctx, rec); err != nil {
		return err
	}
	return e.AwaitReady(ctx, n)
}

// restart stops the guest of a container and starts it with its record.
func (e *Engine) restart(ctx context.Context, n container.Name) error {
	if err := e.supervisor.Stop(ctx, n, StopLimit); err != nil {
		return err
	}
	return e.bringUp(ctx, n)
}

// startedWith reports whether a guest lives that has all of a record.
func (e *Engine) startedWith(rec *state.Record) (bool, error) {
	o, _, err := e.observed(rec.Name)
	if err != nil || o == nil || o.Running == nil {
		return false, err
	}
	return len(plan.Pending(*o)) == 0, nil
}

// restartBack starts the guest again as it was.
func (e *Engine) restartBack(ctx context.Context, t *state.Transition) error {
	n := t.Before.Name
	if err := e.Paths.WriteTransition(*t); err != nil {
		return err
	}
	e.tell(n, "goes back to generation %d: %s", t.Before.Generation, t.Back)
	if err := e.writeChosen(ctx, t.Before); err != nil {
		return err
	}
	err := e.restart(ctx, n)
	if err != nil && ctx.Err() != nil { // the next command goes on
		return context.Cause(ctx)
	} else if err != nil {
		return errors.Join(fmt.Errorf("go back to generation %d: %w", t.Before.Generation, err), e.returned(t))
	}
	return e.returned(t)
}
