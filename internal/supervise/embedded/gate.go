package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/network/ingress"
	"github.com/berth-containers/berth/internal/network/names"
)

// admit answers at the guest's gate, if it has one, and keeps names and HTTP
// served for it, until stop is called, which returns when nothing is done for the guest any
// more.
func (h *shim) admit(c launch.Command) (stop func()) {
	if c.Gate == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() {
		attached := func() {
			h.keepNames(ctx, &working)
			working.Go(func() { ingress.Keep(ctx, h.Paths, h.Cgroups, h.Program, h.name) })
		}
		_ = launch.Admit(ctx, h.Paths, c.Lease, c.Learns, c.Gate, attached, h.complain) // the guest ends with an error, and its reason is kept
	})
	return func() {
		cancel()
		_ = c.Gate.Close()
		working.Wait()
	}
}

// keepNames has names served, from now on until ctx ends. A guest runs without
// them too: doctor tells that they are missing.
func (h *shim) keepNames(ctx context.Context, working *sync.WaitGroup) {
	if err := names.Ensure(ctx, h.Paths, h.Cgroups, h.Program); err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
	}
	working.Go(func() {
		names.Keep(ctx, h.Paths, h.Cgroups, h.Program, h.name, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	})
}

// complain writes why the guest cannot start to where systemd-nspawn does.
func (h *shim) complain(why error) {
	f, err := os.OpenFile(h.Paths.Stderr(h.name), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = fmt.Fprintln(f, "berth:", why)
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth:", why, err)
	}
}

// Serve implements supervise.Server.
func (s *Supervisor) Serve(ctx context.Context) error {
	return errors.Join(names.Ensure(ctx, s.Paths, s.Cgroups, s.Program), ingress.Ensure(s.Paths, s.Cgroups, s.Program))
}
