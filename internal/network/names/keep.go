package names

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// comeBack is the pause after which somebody starts the process again: another
// one may just be taking its place.
const comeBack = 50 * time.Millisecond

// Keep has a process serve the instance for as long as the container n has a
// lease: when it ends, it is started again. Any number may do so at once. It
// returns when ctx ends, or when the lease is gone.
func Keep(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, program string, n container.Name, log *slog.Logger) {
	for ctx.Err() == nil {
		if _, err := os.Stat(paths.Lease(n)); err != nil {
			return
		}
		if err := Ensure(ctx, paths, h, program); err != nil && ctx.Err() == nil {
			log.Error(err.Error())
		}
		awaitEnd(ctx, paths)
		select {
		case <-time.After(comeBack):
		case <-ctx.Done():
		}
	}
}

// awaitEnd waits until the process that serves has ended, or a moment where it
// is not known.
func awaitEnd(ctx context.Context, paths state.Paths) {
	st, err := ReadStatus(paths)
	if err != nil || st.PID == 0 {
		return
	}
	p, err := process.OpenStarted(st.PID, st.Started)
	if err != nil {
		return
	}
	defer p.Close()
	_ = p.Await(ctx)
}

// once makes a function that calls f at its first call.
func once(f func()) func() {
	var o sync.Once
	return func() { o.Do(f) }
}

// notifySystemd says that the unit is ready; see sd_notify(3).
func notifySystemd() {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return
	}
	conn, err := net.Dial("unixgram", address)
	if err != nil {
		return // systemd says so when the time is over
	}
	defer conn.Close()
	_, _ = fmt.Fprint(conn, "READY=1")
}
