package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// StopLimit is how long a guest may take to shut down before it is killed, if
// nobody says otherwise: systemd's own DefaultTimeoutStopSec.
const StopLimit = 90 * time.Second

// Start starts a container that is not alive, after those that it depends on,
// and returns when its guest is ready.
func (e *Engine) Start(ctx context.Context, n container.Name) error {
	if err := e.startDependencies(ctx, n); err != nil {
		return err
	}
	err := e.locked(ctx, n, func() error {
		if err := e.mend(ctx, n); err != nil {
			return err
		}
		rec, err := e.record(n)
		if err != nil {
			return notFound(n, err)
		}
		return e.start(ctx, rec)
	})
	if err != nil {
		return err
	}
	return e.AwaitReady(ctx, n)
}

// start begins the start of a container whose lock is held. One that is
// starting or running already is left alone; one that has lost its supervisor
// is shut down first.
func (e *Engine) start(ctx context.Context, rec *state.Record) error {
	obs, err := e.supervisor.Observe(rec.Name)
	if err != nil {
		return err
	}
	switch obs.State {
	case container.Running, container.Starting, container.Restarting:
		return nil
	case container.Paused:
		return e.supervisor.Freeze(rec.Name, false)
	case container.Stopping, container.Unsupervised:
		if err := e.supervisor.Stop(ctx, rec.Name, StopLimit); err != nil {
			return err
		}
	}
	if err := e.complete(ctx, rec); err != nil {
		return err
	}
	if rec.System != "" { // what a killed command did not come to do
		if err := e.takeSystem(ctx, rec.Name, rec.Spec, rec.System); err != nil {
			return err
		}
	}
	if err := errors.Join(e.ready(rec), e.ensureChanges(rec)); err != nil {
		return err
	}
	return e.supervisor.Start(ctx, rec.Name)
}

// ready checks, before anything happens, that what the container needs of the
// host is there, and makes what it wants made.
func (e *Engine) ready(rec *state.Record) error {
	if err := e.obstacle(rec, e.aroundNow()); err != nil {
		return err
	}
	return makeSources(rec.Spec)
}

// obstacle is why the container could not start with that around it; nil if it
// could.
func (e *Engine) obstacle(rec *state.Record, a around) error {
	if err := supported(rec.Name, rec.Spec); err != nil {
		return err
	}
	if _, err := e.probe.Nspawn(); err != nil {
		return err
	}
	if err := e.origin(rec); err != nil {
		return err
	}
	return errors.Join(checkSources(rec.Spec), e.nixObstacle(rec.Spec), e.networkObstacle(rec, a))
}

// AwaitReady waits until the guest of a container that was started is ready,
// or fails. That it failed before and is being started again does not count.
func (e *Engine) AwaitReady(ctx context.Context, n container.Name) error {
	before, err := e.supervisor.Observe(n)
	if err != nil {
		return err
	}
	obs, err := e.supervisor.Await(ctx, n, func(o supervise.Observation) bool {
		return o.State == container.Running || o.State == container.Paused || !o.State.Alive() ||
			o.State == container.Unsupervised ||
			o.State == container.Restarting && o.Restarts > before.Restarts
	})
	if err != nil {
		return err
	}
	switch {
	case obs.State == container.Running || obs.State == container.Paused:
		return nil
	case obs.State.Alive() && obs.Reason == "" || obs.State == container.Stopped:
		return &container.Error{Err: errors.New("it was shut down before it was ready"), Hint: whyHint(n)}
	}
	return &container.Error{Err: e.cause(obs), Hint: whyHint(n), Code: failureCode(obs)}
}

func whyHint(n container.Name) string {
	return fmt.Sprintf("berth why %s tells more, berth logs %s shows its console", n, n)
}

// cause is why a container failed, as its supervisor kept it.
func (e *Engine) cause(o supervise.Observation) error {
	if o.Reason == "" {
		return errors.New("it ended before it was ready")
	}
	return errors.New(o.Reason)
}

// failureCode tells a guest that was too slow from one that broke.
func failureCode(o supervise.Observation) container.Code {
	if o.TimedOut {
		return container.CodeNotReady
	}
	return container.CodeFailed
}

// Await waits until a container is ready, or until it is stopped.
func (e *Engine) Await(ctx context.Context, n container.Name, s container.State) error {
	if _, err := e.Record(n); err != nil {
		return err
	}
	_, err := e.supervisor.Await(ctx, n, func(o supervise.Observation) bool {
		if s == container.Running {
			return o.State == container.Running || o.State == container.Paused
		}
		return !o.State.Alive()
	})
	if errors.Is(err, context.DeadlineExceeded) {
		obs, _ := e.supervisor.Observe(n)
		late := container.ErrNotReady
		if s != container.Running {
			late = errors.New("not stopped in time")
		}
		return &container.Error{Subject: string(n), Err: fmt.Errorf("%w: it is %s", late, obs.State), Code: container.CodeNotReady}
	}
	return err
}

// Stop shuts a guest down, and kills it when limit has passed.
func (e *Engine) Stop(ctx context.Context, n container.Name, limit time.Duration) error {
	return e.locked(ctx, n, func() error {
		if !e.Paths.Exists(n) {
			return notFound(n, container.ErrNotFound)
		}
		if err := e.supervisor.Stop(ctx, n, limit); err != nil {
			return err
		}
		return e.abandon(ctx, n)
	})
}

// Terminate kills a guest at once, even one that somebody else is waiting for.
func (e *Engine) Terminate(ctx context.Context, n container.Name) error {
	if _, err := e.Record(n); err != nil {
		return err
	}
	if err := e.supervisor.Kill(ctx, n); err != nil {
		return err
	}
	return e.Stop(ctx, n, 0)
}

// Restart stops a container, if it is alive, and starts it.
func (e *Engine) Restart(ctx context.Context, n container.Name, limit time.Duration) error {
	err := e.locked(ctx, n, func() error {
		if err := e.mend(ctx, n); err != nil {
			return err
		}
		rec, err := e.record(n)
		if err != nil {
			return notFound(n, err)
		}
		if err := e.ready(rec); err != nil { // do not stop what cannot start again
			return err
		}
		if err := e.supervisor.Stop(ctx, n, limit); err != nil {
			return err
		}
		return e.start(ctx, rec)
	})
	if err != nil {
		return err
	}
	return e.AwaitReady(ctx, n)
}

// Pause stops time for a running guest, or lets it go on.
func (e *Engine) Pause(ctx context.Context, n container.Name, on bool) error {
	return e.locked(ctx, n, func() error {
		if _, err := e.record(n); err != nil {
			return notFound(n, err)
		}
		obs, err := e.supervisor.Observe(n)
		if err != nil {
			return err
		}
		if obs.State != container.Running && obs.State != container.Paused {
			return &container.Error{Subject: string(n), Err: fmt.Errorf("it is %s, not running", obs.State)}
		}
		return e.supervisor.Freeze(n, on)
	})
}
