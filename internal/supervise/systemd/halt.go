package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/state"
)

// resend is the time after which a guest that is asked by a program is asked
// again: its init may not have been listening, and does not say so.
const resend = time.Second

// Halt is the command `berth halt NAME`, with which a unit begins to stop. A
// guest whose init takes a signal is left to systemd-nspawn, which gets SIGTERM
// afterwards. Any other is asked by a program of its own until it has ended.
func Halt(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, n container.Name) error {
	launched, err := state.ReadLaunched(paths.Run(n))
	if errors.Is(err, fs.ErrNotExist) || err == nil && launched.Init.HaltCommand() == nil {
		return nil
	} else if err != nil {
		return err
	}
	nspawn, err := strconv.Atoi(os.Getenv("MAINPID"))
	if err != nil {
		return nil // it has ended
	}
	pid, started := leaderOf(nspawn)
	g, err := guest.Hold(pid, started, h)
	if err != nil {
		return nil // so has the guest
	}
	defer g.Close()
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, resend)
		_, err = g.Halt(within, launched.Init)
		ended := g.Await(within) == nil
		cancel()
		if ended {
			return nil
		}
	}
	return err
}
