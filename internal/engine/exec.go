package engine

import (
	"context"
	"fmt"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
)

// Exec runs a program in a running guest; see guest.Guest.Exec.
func (e *Engine) Exec(ctx context.Context, n container.Name, c guest.Command) (int, error) {
	if _, err := e.Record(n); err != nil {
		return guest.CodeFailed, err
	}
	obs, err := e.supervisor.Observe(n)
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
	return g.Exec(ctx, c)
}
