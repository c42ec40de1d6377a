package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/inotify"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// Supervisor implements supervise.Supervisor, Killer, Grouper, Recorder, Keeper,
// Configurer, Installer, Inspector, Native and Locator.
type Supervisor struct {
	Paths   state.Paths
	Program string // the berth that units run
	Cgroups cgroup.Hierarchies
	life    context.Context // of the connections
	jobs    sync.Map        // by name: the result of the last job to start it, as <-chan string

	dialing    sync.Mutex // guards the rest
	linked     *link
	unanswered bool // systemd's own socket
}

// New returns the supervisor for the containers below paths. It connects to
// systemd when that is first asked something.
func New(ctx context.Context, paths state.Paths, h cgroup.Hierarchies) (*Supervisor, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &Supervisor{Paths: paths, Program: program, Cgroups: h, life: ctx}, nil
}

func (s *Supervisor) unit(n container.Name) string { return Unit(s.Paths, n) }

// Start implements supervise.Supervisor.
func (s *Supervisor) Start(ctx context.Context, n container.Name) error {
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil {
		return err
	}
	if err := errors.Join(s.cleanUp(ctx, n), s.lift(ctx, n), s.configure(ctx, rec)); err != nil {
		return err
	}
	var result chan string
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		result = make(chan string, 1)
		_, err := l.units.StartUnitContext(ctx, s.unit(n), "replace", result)
		return err
	})
	if err != nil {
		return fmt.Errorf("start unit: %w", err)
	}
	s.jobs.Store(n, (<-chan string)(result))
	return nil
}

// takeJob is the result to come of the job with which this process started n;
// nil where there is none.
func (s *Supervisor) takeJob(n container.Name) <-chan string {
	v, ok := s.jobs.LoadAndDelete(n)
	if !ok {
		return nil
	}
	return v.(<-chan string)
}

// missingDependency names what the unit of n needs and does not have, such as
// the mount of a bind's source.
func (s *Supervisor) missingDependency(ctx context.Context, n container.Name) error {
	props, err := s.properties(ctx, n)
	if err != nil {
		return err
	}
	needs, _ := props["Requires"].([]string)
	var missing []string
	for _, unit := range needs {
		needed, err := s.some(ctx, unit)
		if err != nil {
			return err
		}
		if active := text(needed, "ActiveState"); active == "failed" || active == "inactive" {
			missing = append(missing, unit)
		}
	}
	return &container.Error{Err: fmt.Errorf("what it needs of the host could not be started: %s", strings.Join(missing, ", ")),
		Hint: "systemctl status " + strings.Join(missing, " ")}
}

// unitStopLimit is the time that systemd gives a guest to shut down: that of
// TimeoutStopSec in the template.
const unitStopLimit = 90 * time.Second

// Stop implements supervise.Supervisor.
func (s *Supervisor) Stop(ctx context.Context, n container.Name, limit time.Duration) error {
	if err := s.Freeze(n, false); err != nil && !noSuchUnit(err) {
		return err
	}
	if limit > 0 {
		within, cancel := context.WithTimeout(ctx, limit)
		err := s.shutDown(within, n, limit)
		cancel()
		if err == nil {
			return s.leave(ctx, n)
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err // it may still run
		}
	}
	if err := s.Kill(ctx, n); err != nil {
		return err
	}
	if err := s.stopJob(ctx, n); err != nil {
		return err
	}
	return s.leave(ctx, n)
}

// shutDown asks the guest to end, and waits.
func (s *Supervisor) shutDown(ctx context.Context, n container.Name, limit time.Duration) error {
	if limit > unitStopLimit { // systemd would kill it before that
		props, err := s.some(ctx, s.unit(n), "Service.MainPID")
		if err != nil {
			return err
		}
		s.halt(ctx, n, int(number(props, "MainPID")))
		if _, err := s.Await(ctx, n, func(o supervise.Observation) bool { return o.Leader == 0 }); err != nil {
			return err
		}
	}
	return s.stopJob(ctx, n)
}

// askAgain is the time after which a guest that was just starting is asked
// again to shut down: its init loses signals that come before it listens.
const askAgain = 250 * time.Millisecond

// stopJob stops the unit and waits for the end of the job.
func (s *Supervisor) stopJob(ctx context.Context, n container.Name) error {
	result := "canceled"
	for tries := 0; result == "canceled" && tries < 5; tries++ { // by somebody's systemctl start
		done, err := s.beginStop(ctx, n)
		if noSuchUnit(err) {
			return nil
		} else if err != nil {
			return err
		}
		if result, err = s.stopResult(ctx, n, done); err != nil {
			return err
		}
	}
	if result != "done" {
		return fmt.Errorf("stop unit %s: its job ended with %q", s.unit(n), result)
	}
	return nil
}

// beginStop asks for the end of the unit. The job's result is to come.
func (s *Supervisor) beginStop(ctx context.Context, n container.Name) (done chan string, err error) {
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		done = make(chan string, 1)
		_, err := l.units.StopUnitContext(ctx, s.unit(n), "replace", done)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("stop unit: %w", err)
	}
	return done, nil
}

// properties are all that systemd knows of the unit.
func (s *Supervisor) properties(ctx context.Context, n container.Name) (props map[string]any, err error) {
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		props, err = l.units.GetAllPropertiesContext(ctx, s.unit(n))
		return err
	})
	return props, err
}

// stopResult waits for the result of a job to stop, or for the end of the unit
// where that result is not heard: it comes on a connection that may end first.
// A guest that was not ready when it was asked to shut down may not have heard,
// and is asked again.
func (s *Supervisor) stopResult(ctx context.Context, n container.Name, done <-chan string) (string, error) {
	for {
		select {
		case result := <-done:
			return result, nil
		case <-time.After(askAgain):
			props, err := s.properties(ctx, n)
			switch {
			case err != nil: // the next time, perhaps
			case atRest(props):
				return "done", nil
			case !wasReady(props):
				s.halt(ctx, n, int(number(props, "MainPID")))
			}
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// halt asks the init of nspawn's guest to shut down. One that is not there is
// not asked, and one that does not listen may be asked again.
func (s *Supervisor) halt(ctx context.Context, n container.Name, nspawn int) {
	launched, err := state.ReadLaunched(s.Paths.Run(n))
	if err != nil {
		return
	}
	pid, started := leaderOf(nspawn)
	g, err := guest.Hold(pid, started, s.Cgroups)
	if err != nil {
		return
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(ctx, resend)
	defer cancel()
	_, _ = g.Halt(ctx, launched.Init)
}

// leave cleans up behind a container that does not run any more.
func (s *Supervisor) leave(ctx context.Context, n container.Name) error {
	return errors.Join(s.cleanUp(ctx, n), s.RestoreSettings())
}

// cleanUp makes a container that does not run one that never has.
func (s *Supervisor) cleanUp(ctx context.Context, n container.Name) error {
	err := s.ask(ctx, func(ctx context.Context, l *link) error { return l.units.ResetFailedUnitContext(ctx, s.unit(n)) })
	if err != nil && !noSuchUnit(err) {
		return fmt.Errorf("reset unit: %w", err)
	}
	if err := errors.Join(s.detach(ctx, n), s.vacate(ctx, n)); err != nil {
		return err
	}
	return errors.Join(state.RemoveTree(s.Paths.Run(n)), state.RemoveFailure(s.Paths.Container(n)))
}

// Kill implements supervise.Killer. That the unit is to stop is said first, so
// that nothing is started again.
func (s *Supervisor) Kill(ctx context.Context, n container.Name) error {
	if _, err := s.beginStop(ctx, n); noSuchUnit(err) {
		return nil
	} else if err != nil {
		return err
	}
	err := s.ask(ctx, func(ctx context.Context, l *link) error {
		return l.units.KillUnitWithTarget(ctx, s.unit(n), dbus.All, int32(unix.SIGKILL))
	})
	if err != nil && !noSuchUnit(err) && !strings.Contains(err.Error(), "No process") {
		return fmt.Errorf("kill unit: %w", err)
	}
	return nil
}

// Freeze implements supervise.Grouper.
func (s *Supervisor) Freeze(n container.Name, on bool) error {
	g, err := s.group(n)
	if err != nil || g == nil {
		return err
	}
	err = g.Freeze(on)
	if errors.Is(err, fs.ErrNotExist) && !on {
		return nil
	}
	return err
}

// Usage implements supervise.Grouper.
func (s *Supervisor) Usage(n container.Name) container.Usage {
	g, err := s.group(n)
	if err != nil || g == nil {
		return container.Usage{}
	}
	return g.Usage()
}

// group is the cgroup of the running unit; nil where it does not run. It is
// looked for first where the template puts it.
func (s *Supervisor) group(n container.Name) (*cgroup.Group, error) {
	if usual := s.usualGroup(n); usual.Exists() {
		return &usual, nil
	}
	props, err := s.some(context.Background(), s.unit(n), "Service.ControlGroup")
	if err != nil {
		return nil, err
	}
	path := text(props, "ControlGroup")
	if path == "" {
		return nil, nil
	}
	g := s.Cgroups.Group(strings.TrimPrefix(path, "/"))
	return &g, nil
}

// RestoreSettings implements supervise.Keeper.
func (s *Supervisor) RestoreSettings() error { return inotify.Restore(s.Cgroups, 0) }

// noSuchUnit reports whether systemd does not know a unit, which then is not
// running either.
func noSuchUnit(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "not loaded") || strings.Contains(err.Error(), "NoSuchUnit"))
}

// Observe implements supervise.Supervisor.
func (s *Supervisor) Observe(n container.Name) (supervise.Observation, error) {
	o, err := s.observeOnce(n)
	if err != nil || o.State != container.Failed {
		return o, err
	}
	// A failure that nobody keeps may be one that somebody has just cleaned up,
	// in between two questions.
	if f, err := state.ReadFailure(s.Paths.Container(n)); f != nil || err != nil {
		return o, nil
	}
	return s.observeOnce(n)
}

func (s *Supervisor) observeOnce(n container.Name) (supervise.Observation, error) {
	props, err := s.look(context.Background(), n)
	if err != nil {
		return supervise.Observation{}, fmt.Errorf("ask systemd about %s: %w", s.unit(n), err)
	}
	return s.observation(n, props), nil
}
