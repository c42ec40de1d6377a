package guest

import (
	"context"
	"errors"
	"time"
)

// ErrFrozen says that the guest was frozen before the program ran in it, or
// before an impatient one had ended.
var ErrFrozen = errors.New("the guest is frozen")

// frozenPause is how often it is looked whether a guest is frozen in which a
// program does not start: cgroup v1 has no event for that.
const frozenPause = 50 * time.Millisecond

// whileThawed is ctx, but ends with ErrFrozen when the guest is frozen, until
// stop is called: what is in its control groups then gets nowhere.
func (g *Guest) whileThawed(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var look func()
	look = func() {
		if g.cgroups.Frozen(g.leader.PID) {
			cancel(ErrFrozen)
		} else if ctx.Err() == nil {
			time.AfterFunc(frozenPause, look)
		}
	}
	time.AfterFunc(frozenPause, look)
	return ctx, func() { cancel(nil) }
}
