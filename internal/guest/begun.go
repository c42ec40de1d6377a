package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/berth-containers/berth/internal/preinit"
)

// How long, and how often, it is looked whether the guest's init runs yet.
const (
	initLimit = time.Minute
	initPause = time.Millisecond
)

// awaitInit waits until berth's own first process has become the guest's init:
// before that it may not have the system call filters yet which a program in the
// guest has to have.
func (g *Guest) awaitInit(ctx context.Context) error {
	for begun := time.Now(); ; {
		runs, err := g.initRuns()
		switch {
		case err != nil:
			return g.explain(err)
		case runs:
			return nil
		case time.Since(begun) > initLimit:
			return errors.New("the guest's init does not run yet")
		}
		within, cancel := context.WithTimeout(ctx, initPause)
		ended := g.leader.Await(within) == nil
		cancel()
		if ended {
			return ErrEnded
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// initRuns reports whether the guest's init runs. A process that is just becoming
// another program has no command line, and neither has one that has ended.
func (g *Guest) initRuns() (bool, error) {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", g.leader.PID))
	return len(cmdline) > 0 && !preinit.Begun(cmdline), err
}
