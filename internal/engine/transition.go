package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// A running guest goes from one generation to another in a state.Transition.
// The record in the container's directory is what counts at every moment: it is
// replaced once on the way there, and with a restart once more on the way back.
// In place that is after the guest has changed and is healthy, and with a
// restart before the guest is stopped. What a killed command did not come to do,
// mend does.

// tell says something about a container for people, while work goes on.
func (e *Engine) tell(n container.Name, format string, args ...any) {
	e.Events.Send(container.Event{Subject: string(n), Line: fmt.Sprintf(format, args...)})
}

// arrive ends a transition at its destination. failed is why the guest is not
// healthy there, or empty.
func (e *Engine) arrive(ctx context.Context, t *state.Transition, failed string) error {
	if err := e.writeChosen(ctx, t.After); err != nil {
		return err
	}
	if !t.Restart {
		if err := e.noteSwitched(&t.After); err != nil {
			return err
		}
	}
	if t.After.Generation != t.Before.Generation || failed == "" {
		if err := e.judged(&t.After, failed); err != nil {
			return err
		}
	}
	return e.endTransition(&t.After)
}

// noteSwitched keeps that a running guest has rec now.
func (e *Engine) noteSwitched(rec *state.Record) error {
	l, err := e.launched(rec.Name)
	if l == nil {
		return err
	}
	if !slices.Contains(l.Shown, l.System) {
		l.Shown = append(l.Shown, l.System)
	}
	l.Record = *rec
	return state.WriteLaunched(e.Paths.Run(rec.Name), *l)
}

// departure is the record to come back to: that of the container, or where its
// guest has not got all of that, what the guest was started with.
func (e *Engine) departure(rec state.Record) (state.Record, error) {
	o, _, err := e.observed(rec.Name)
	if err != nil || o == nil || len(plan.Pending(*o)) == 0 {
		return rec, err
	}
	l, err := e.launched(rec.Name)
	if l == nil {
		return rec, err
	}
	rec.Spec, rec.System, rec.Digest, rec.Generation, rec.Links = l.Spec, l.System, l.Digest, l.Generation, l.Links
	return rec, nil
}

// notHealthy is the end of an update whose guest is not healthy, for t.Back: it
// goes back, or stays as it is where the wish is that.
func (e *Engine) notHealthy(ctx context.Context, w Wish, t *state.Transition, back func(context.Context, *state.Transition) error) error {
	e.report(ctx, t)
	if w.NoRollback {
		return errors.Join(kept(t), e.arrive(ctx, t, t.Back))
	}
	if err := back(ctx, t); err != nil {
		return err
	}
	return undone(t)
}

// interrupted is the error for an update whose command is to end before it.
func interrupted(ctx context.Context) error {
	return &container.Error{Err: context.Cause(ctx), Hint: "the next command about it brings the update to its end"}
}

// undoneByKill is why an update was undone whose command was killed.
const undoneByKill = "the update was interrupted"

// returned ends a transition at its beginning.
func (e *Engine) returned(t *state.Transition) error {
	if t.After.Generation != t.Before.Generation {
		if err := e.judged(&t.After, cmp.Or(t.Back, undoneByKill)); err != nil {
			return err
		}
	}
	return e.endTransition(&t.Before)
}

// endTransition forgets the transition of a container, which has rec now.
func (e *Engine) endTransition(rec *state.Record) error {
	if err := state.RemoveFile(e.Paths.Transition(rec.Name)); err != nil {
		return err
	}
	return e.prune(rec)
}

// undone is the error for an update that was undone.
func undone(t *state.Transition) error {
	outcome := fmt.Sprintf("it has generation %d again, not %d", t.Before.Generation, t.After.Generation)
	if t.Before.Generation == t.After.Generation {
		outcome = "it is as it was again"
	}
	return &container.Error{
		Subject: string(t.Before.Name), Code: container.CodeNotReady,
		Err:  fmt.Errorf("%w: %s: %s", errUnhealthy, t.Back, outcome),
		Hint: fmt.Sprintf("with --no-rollback it stays as it is for a look; berth logs %s shows what was said", t.Before.Name),
	}
}

// kept is the error for an update that was not undone although the guest is
// not healthy.
func kept(t *state.Transition) error {
	return &container.Error{
		Subject: string(t.Before.Name), Code: container.CodeNotReady,
		Err:  fmt.Errorf("%w: %s: it stays at generation %d", errUnhealthy, t.Back, t.After.Generation),
		Hint: fmt.Sprintf("berth rollback %s takes it back to generation %d", t.Before.Name, t.Before.Generation),
	}
}

var errUnhealthy = errors.New("unhealthy after its update")

// idlePatience is how long a command that has been killed is waited for: what it
// was just starting holds its lock until that is dead too.
const idlePatience = time.Second

// mendIdle mends a container that no other command works on. Its lock is waited
// for as long as patience.
func (e *Engine) mendIdle(ctx context.Context, n container.Name, patience time.Duration) error {
	if t, err := e.Paths.ReadTransition(n); t == nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lock, err := state.AwaitLock(limit, e.Paths.Lock(n))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	} else if err != nil {
		return err
	}
	return errors.Join(e.mend(ctx, n), lock.Unlock())
}

// tryMend is mendIdle for who has something else to do: what keeps it from being
// done is told.
func (e *Engine) tryMend(ctx context.Context, n container.Name) {
	if err := e.mendIdle(ctx, n, 0); err != nil {
		e.tell(n, "%v", err)
	}
}

// lookPatience is how long who only looks at containers waits for the ends of
// updates. With a guest that does not come up one may take minutes.
const lookPatience = 5 * time.Second

// lookMend is tryMend for who only looks at containers.
func (e *Engine) lookMend(names ...container.Name) {
	ctx, cancel := context.WithCancel(context.Background()) // with a deadline, a switch would be late, and be ended
	defer time.AfterFunc(lookPatience, cancel).Stop()
	defer cancel()
	for _, n := range names {
		if ctx.Err() == nil {
			e.tryMend(ctx, n)
		}
	}
}

// mend brings to an end what a killed command has begun: the guest is where its
// record says then, and that is told. The container's lock is held.
func (e *Engine) mend(ctx context.Context, n container.Name) error {
	t, err := e.Paths.ReadTransition(n)
	if t == nil {
		return err
	}
	rec, err := e.record(n)
	if errors.Is(err, container.ErrNotFound) {
		return state.RemoveFile(e.Paths.Transition(n))
	} else if err != nil {
		return err
	}
	if t.Restart {
		err = e.mendRestart(ctx, t, rec)
	} else {
		err = e.mendSwitch(ctx, t, rec)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("an update from generation %d to %d was interrupted, and is not at its end yet: the next command about it goes on", t.Before.Generation, t.After.Generation)
	} else if err != nil {
		return fmt.Errorf("end an interrupted update: %w", err)
	}
	if rec, err = e.record(n); err != nil {
		return err
	}
	e.tell(n, "an update from generation %d to %d was interrupted: it has generation %d now", t.Before.Generation, t.After.Generation, rec.Generation)
	return nil
}

// mendRestart goes on with a restart.
func (e *Engine) mendRestart(ctx context.Context, t *state.Transition, rec *state.Record) error {
	if t.Back != "" {
		return e.restartBack(ctx, t)
	}
	if rec.Generation != t.After.Generation || len(plan.Diff(rec.Spec, t.After.Spec)) > 0 { // nothing has happened
		return e.returned(t)
	}
	bring := e.restart
	if ok, err := e.startedWith(rec); err != nil {
		return err
	} else if ok {
		bring = e.bringUp
	}
	trouble := bring(ctx, rec.Name)
	switch {
	case trouble != nil && ctx.Err() != nil: // which says nothing of the guest
		return context.Cause(ctx)
	case trouble != nil:
		t.Back = trouble.Error()
		return e.restartBack(ctx, t)
	}
	return e.arrive(ctx, t, "")
}

// abandon ends the transition of a container that has been stopped: it starts
// with what its record says.
func (e *Engine) abandon(ctx context.Context, n container.Name) error {
	t, err := e.Paths.ReadTransition(n)
	if t == nil {
		return err
	}
	if t.Restart && t.Back != "" {
		if err := e.writeChosen(ctx, t.Before); err != nil {
			return err
		}
	}
	rec, err := e.record(n)
	if err != nil {
		return err
	}
	e.tell(n, "an update from generation %d to %d was interrupted: it starts with generation %d", t.Before.Generation, t.After.Generation, rec.Generation)
	return e.endTransition(rec)
}

// newlyFailed are units that had not failed before.
func newlyFailed(now, before []string) []string {
	return slices.DeleteFunc(slices.Clone(now), func(u string) bool { return slices.Contains(before, u) })
}
