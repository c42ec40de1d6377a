package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/supervise"
)

// Other implements supervise.Others.
func (s *Supervisor) Other(ctx context.Context, unit string) (o supervise.Observation, ok bool, err error) {
	props, err := s.some(ctx, unit, "Unit.Id", "Unit.LoadState", "Unit.StateChangeTimestamp", "Service.MainPID")
	if noSuchUnit(err) || err == nil && (text(props, "LoadState") != "loaded" || isAlias(unit, text(props, "Id"))) {
		return o, false, nil
	} else if err != nil {
		return o, false, fmt.Errorf("ask systemd about %s: %w", unit, err)
	}
	o = supervise.Observation{State: stateOf(text(props, "ActiveState"), hasJobOf(props, "start", "restart")), Since: when(props, "StateChangeTimestamp")}
	if o.State.Alive() {
		o.Leader, o.Started = leaderOf(int(number(props, "MainPID")))
	}
	return o, true, nil
}

// Order implements supervise.Others.
func (s *Supervisor) Order(ctx context.Context, unit string, what supervise.Order) error {
	if what == supervise.OrderKill {
		return s.killOther(ctx, unit)
	}
	return s.jobFor(ctx, unit, what, func() error { return nil })
}

// killOther ends a guest at once, by its init: a systemd-nspawn that was killed
// with it would leave a mount on the host with which none starts a machine of this
// name again. It leaves no failure, since it was asked for.
func (s *Supervisor) killOther(ctx context.Context, unit string) error {
	o, ok, err := s.Other(ctx, unit)
	if err != nil || !ok {
		return err
	}
	err = s.jobFor(ctx, unit, supervise.OrderStop, func() error { // so that it is not started again
		if o.Leader == 0 {
			return s.killUnit(ctx, unit)
		}
		guest, err := process.OpenStarted(o.Leader, o.Started)
		if err != nil { // it has ended
			return nil
		}
		return errors.Join(guest.Signal(unix.SIGKILL), guest.Close())
	})
	if err != nil {
		return err
	}
	err = s.ask(ctx, func(ctx context.Context, l *link) error { return l.units.ResetFailedUnitContext(ctx, unit) })
	if err != nil && !noSuchUnit(err) {
		return fmt.Errorf("reset %s: %w", unit, err)
	}
	return nil
}

// killUnit kills all processes of a unit that has some.
func (s *Supervisor) killUnit(ctx context.Context, unit string) error {
	err := s.ask(ctx, func(ctx context.Context, l *link) error {
		return l.units.KillUnitWithTarget(ctx, unit, dbus.All, int32(unix.SIGKILL))
	})
	if err != nil && !noSuchUnit(err) && !strings.Contains(err.Error(), "No process") {
		return fmt.Errorf("kill %s: %w", unit, err)
	}
	return nil
}

// jobFor has a unit start, stop or reload, calls meanwhile, and waits until it has.
func (s *Supervisor) jobFor(ctx context.Context, unit string, what supervise.Order, meanwhile func() error) error {
	done := make(chan string, 1)
	err := s.ask(ctx, func(ctx context.Context, l *link) (err error) {
		switch what {
		case supervise.OrderStart:
			_, err = l.units.StartUnitContext(ctx, unit, "replace", done)
		case supervise.OrderReload:
			_, err = l.units.ReloadUnitContext(ctx, unit, "replace", done)
		default:
			_, err = l.units.StopUnitContext(ctx, unit, "replace", done)
		}
		return err
	})
	if err == nil {
		err = meanwhile()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, unit, err)
	}
	if err := s.jobDone(ctx, unit, what, done); err != nil {
		return &container.Error{Err: fmt.Errorf("%s %s: %w", what, unit, err), Hint: "systemctl status " + unit + " tells more"}
	}
	return nil
}

// askUnitAgain is the time between two looks at a job whose end is not heard: the
// connection on which it comes may have ended.
const askUnitAgain = time.Second

// jobDone waits for the end of a job.
func (s *Supervisor) jobDone(ctx context.Context, unit string, what supervise.Order, done <-chan string) error {
	for {
		select {
		case result := <-done:
			if result != "done" {
				return fmt.Errorf("its job ended with %q", result)
			}
			return nil
		case <-time.After(askUnitAgain):
			props, err := s.some(ctx, unit)
			if err != nil || text(props, "JobType") != "" || len(done) > 0 {
				continue
			}
			started := stateOf(text(props, "ActiveState"), false) == container.Running
			if started != (what != supervise.OrderStop) {
				return errors.New("it did not")
			}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
