package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/unit"
)

// Exec runs a program in a running guest; see guest.Guest.Exec.
func (e *Engine) Exec(ctx context.Context, n container.Name, c guest.Command) (int, error) {
	if _, err := e.Record(n); err != nil {
		return guest.CodeFailed, err
	}
	obs, err := e.locate(n)
	if err != nil {
		return guest.CodeFailed, err
	}
	if obs.State == container.Paused {
		return guest.CodeFailed, &container.Error{Subject: string(n), Err: fmt.Errorf("it is paused"), Hint: fmt.Sprintf("berth resume %s lets it go on", n)}
	}
	if obs.Leader == 0 {
		return guest.CodeFailed, &container.Error{Subject: string(n), Err: fmt.Errorf("%w (%s)", container.ErrNotRunning, obs.State),
			Hint: fmt.Sprintf("berth start %s starts it", n)}
	}
	g, err := guest.Open(obs.Leader, obs.Started, e.cgroups)
	if err != nil {
		return guest.CodeFailed, err
	}
	defer g.Close()
	c.Way = e.way(c.Way)
	code, err := g.Exec(ctx, c)
	if errors.Is(err, unit.ErrNotRun) {
		err = &container.Error{Subject: string(n), Err: err, Hint: "--via direct enters the guest without its systemd"}
	}
	return code, err
}

// locate looks for the guest of a container.
func (e *Engine) locate(n container.Name) (supervise.Observation, error) {
	if l, ok := e.supervisor.(supervise.Locator); ok {
		if o, ok := l.Locate(n); ok {
			return o, nil
		}
	}
	return e.supervisor.Observe(n)
}

// way is how a program gets into a guest: as it is asked for, and otherwise as
// the supervisor has it.
func (e *Engine) way(asked guest.Way) guest.Way {
	if _, ok := e.supervisor.(supervise.Native); asked != guest.Either || ok {
		return asked
	}
	return guest.Direct
}
