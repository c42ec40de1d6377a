package names

import (
	"context"
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
)

// Keep has a process serve the instance for as long as the container n has a
// lease: when it ends, it is started again. Any number may do so at once. It
// returns when ctx ends, or when the lease is gone.
func Keep(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, program string, n container.Name, log *slog.Logger) {
	serverOf(paths).Keep(ctx, n, func() error { return Ensure(ctx, paths, h, program) }, func(err error) { log.Error(err.Error()) })
}

// notifySystemd says that the unit is ready. If it cannot be said, systemd tells
// so when the time is over.
func notifySystemd() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }
