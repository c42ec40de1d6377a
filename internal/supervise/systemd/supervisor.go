package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// Supervisor implements supervise.Supervisor, Killer, Freezer, Limiter and
// Keeper.
type Supervisor struct {
	Paths   state.Paths
	Program string // the berth that units run
	Cgroups cgroup.Hierarchies
	conn    *dbus.Conn
}

// New connects to systemd.
func New(ctx context.Context, paths state.Paths, h cgroup.Hierarchies) (*Supervisor, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	conn, err := dbus.NewWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return &Supervisor{Paths: paths, Program: program, Cgroups: h, conn: conn}, nil
}

func (s *Supervisor) unit(n container.Name) string { return Unit(s.Paths, n) }

// Start implements supervise.Supervisor.
func (s *Supervisor) Start(ctx context.Context, n container.Name) error {
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil {
		return err
	}
	if err := errors.Join(s.forgetFailure(n), s.configure(ctx, rec)); err != nil {
		return err
	}
	if err := s.conn.ResetFailedUnitContext(ctx, s.unit(n)); err != nil && !noSuchUnit(err) {
		return fmt.Errorf("reset unit: %w", err)
	}
	if _, err := s.conn.StartUnitContext(ctx, s.unit(n), "replace", nil); err != nil {
		return fmt.Errorf("start unit: %w", err)
	}
	return nil
}

// Stop implements supervise.Supervisor.
func (s *Supervisor) Stop(ctx context.Context, n container.Name, limit time.Duration) error {
	if err := s.Freeze(n, false); err != nil && !noSuchUnit(err) {
		return err
	}
	if limit > 0 {
		within, cancel := context.WithTimeout(ctx, limit)
		err := s.stopJob(within, n)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return errors.Join(err, s.cleanUp(ctx, n))
		}
	}
	if err := s.Kill(ctx, n); err != nil {
		return err
	}
	return errors.Join(s.stopJob(ctx, n), s.cleanUp(ctx, n))
}

// stopJob stops the unit and waits for the end of the job.
func (s *Supervisor) stopJob(ctx context.Context, n container.Name) error {
	done := make(chan string, 1)
	if _, err := s.conn.StopUnitContext(ctx, s.unit(n), "replace", done); noSuchUnit(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("stop unit: %w", err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("stop unit %s: its job ended with %q", s.unit(n), result)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cleanUp removes what is left of a container that does not run.
func (s *Supervisor) cleanUp(ctx context.Context, n container.Name) error {
	if err := s.conn.ResetFailedUnitContext(ctx, s.unit(n)); err != nil && !noSuchUnit(err) {
		return fmt.Errorf("reset unit: %w", err)
	}
	return errors.Join(state.RemoveTree(s.Paths.Run(n)), s.forgetFailure(n))
}

// Kill implements supervise.Killer.
func (s *Supervisor) Kill(ctx context.Context, n container.Name) error {
	err := s.conn.KillUnitWithTarget(ctx, s.unit(n), dbus.All, int32(unix.SIGKILL))
	if err != nil && !noSuchUnit(err) && !strings.Contains(err.Error(), "No process") && !strings.Contains(err.Error(), "not loaded") {
		return fmt.Errorf("kill unit: %w", err)
	}
	return nil
}

// Freeze implements supervise.Freezer.
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

// SetLimits implements supervise.Limiter: now, and in the drop-in for later.
func (s *Supervisor) SetLimits(n container.Name, l container.Limits) error {
	ctx := context.Background()
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil {
		return err
	}
	if err := s.configure(ctx, rec); err != nil {
		return err
	}
	return s.conn.SetUnitPropertiesContext(ctx, s.unit(n), true, properties(l)...)
}

// Usage implements supervise.Limiter.
func (s *Supervisor) Usage(n container.Name) container.Usage {
	g, err := s.group(n)
	if err != nil || g == nil {
		return container.Usage{}
	}
	return g.Usage()
}

// group is the cgroup of the running unit; nil where it does not run.
func (s *Supervisor) group(n container.Name) (*cgroup.Group, error) {
	p, err := s.conn.GetServicePropertyContext(context.Background(), s.unit(n), "ControlGroup")
	if err != nil {
		return nil, err
	}
	path, _ := p.Value.Value().(string)
	if path == "" {
		return nil, nil
	}
	g := s.Cgroups.Group(strings.TrimPrefix(path, "/"))
	return &g, nil
}

// noSuchUnit reports whether systemd does not know a unit, which then is not
// running either.
func noSuchUnit(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "not loaded") || strings.Contains(err.Error(), "NoSuchUnit"))
}

// Observe implements supervise.Supervisor.
func (s *Supervisor) Observe(n container.Name) (supervise.Observation, error) {
	props, err := s.conn.GetAllPropertiesContext(context.Background(), s.unit(n))
	if err != nil {
		return supervise.Observation{}, fmt.Errorf("ask systemd about %s: %w", s.unit(n), err)
	}
	return s.observation(n, props), nil
}
