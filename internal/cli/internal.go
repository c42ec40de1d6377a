package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/enrol"
	"github.com/berth-containers/berth/internal/network/names"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// The commands that berth runs itself.

func (a *app) paths() (state.Paths, error) {
	root, err := a.rootDir()
	return state.Paths{Root: root}, err
}

// byHand refuses a command that is for berth and its supervisor alone: from
// somebody's shell it would meddle with a guest that runs.
func byHand() error {
	return &container.Error{Err: errors.New("berth runs this command itself"), Code: container.CodeUsage,
		Hint: "berth create NAME --image REFERENCE --start makes a container, berth start NAME starts one that is there, berth exec NAME -- COMMAND runs a program in it"}
}

// inUnit reports whether systemd has started this process, in a unit.
func inUnit() bool { return os.Getppid() == 1 && os.Getenv("INVOCATION_ID") != "" }

// supervision is a command that a supervisor runs for one container; ours tells
// whether it does.
func (a *app) supervision(use string, ours func() bool, run func(context.Context, state.Paths, container.Name) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Hidden: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if !ours() {
				return byHand()
			}
			return takes(1, 1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := container.ParseName(args[0])
			if err != nil {
				return err
			}
			paths, err := a.paths()
			if err != nil {
				return err
			}
			return run(cmd.Context(), paths, n)
		},
	}
}

// shimCmd is the process beside a container under the embedded supervisor.
func (a *app) shimCmd() *cobra.Command {
	return serves(a.supervision("shim NAME", embedded.IsShim, func(_ context.Context, paths state.Paths, n container.Name) error {
		h, err := cgroup.Mounted()
		if err != nil {
			return err
		}
		return embedded.New(paths, h).RunShim(n)
	}))
}

// runCmd becomes systemd-nspawn, for a unit.
func (a *app) runCmd() *cobra.Command {
	return a.supervision("run NAME", inUnit, func(ctx context.Context, paths state.Paths, n container.Name) error {
		h, err := cgroup.Mounted()
		if err != nil {
			return err
		}
		return systemd.Launch(ctx, paths, h, n)
	})
}

// attachCmd gives the guest of a unit its network, before its init runs.
func (a *app) attachCmd() *cobra.Command {
	return a.supervision("attach NAME", systemd.AtGate, systemd.Attach)
}

// settleCmd comes after each run of a guest in a unit.
func (a *app) settleCmd() *cobra.Command {
	return a.supervision("settle NAME", inUnit, func(ctx context.Context, paths state.Paths, n container.Name) error {
		h, err := cgroup.Mounted()
		if err != nil {
			return err
		}
		s, err := systemd.New(ctx, paths, h)
		if err != nil {
			return err
		}
		return s.Settle(ctx, n)
	})
}

// haltCmd is how a unit begins to stop.
func (a *app) haltCmd() *cobra.Command {
	return a.supervision("halt NAME", inUnit, func(ctx context.Context, paths state.Paths, n container.Name) error {
		h, err := cgroup.Mounted()
		if err != nil {
			return err
		}
		return systemd.Halt(ctx, paths, h, n)
	})
}

// serves is a command of a process that stays, which is called as berth is: what
// starts it need not know where that lies.
func serves(c *cobra.Command) *cobra.Command {
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		_ = process.Rename("berth") // where it cannot, it serves all the same
		return run(cmd, args)
	}
	return c
}

// namesCmd is the process for the names of guests.
func (a *app) namesCmd() *cobra.Command {
	var inherited bool
	c := &cobra.Command{
		Use: "names", Hidden: true, Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			paths, err := a.paths()
			if err != nil {
				return err
			}
			h, err := cgroup.Mounted()
			if err != nil {
				return err
			}
			debug.SetGCPercent(50) // memory counts here
			log := slog.New(slog.NewTextHandler(a.Err, nil))
			err = names.Run(cmd.Context(), names.HostOptions(paths, log), h, inherited)
			if errors.Is(err, names.ErrEnded) {
				a.code = 128 + int(syscall.SIGTERM)
			}
			return err
		},
	}
	c.Flags().BoolVar(&inherited, "inherited", false, "the caller gives the lock and waits for a word")
	return serves(c)
}

// enrolCmd is run in a guest by the host, to tell the guest's own Nix of a system.
func (a *app) enrolCmd() *cobra.Command {
	return &cobra.Command{Use: "enrol SYSTEM", Hidden: true, Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return enrol.System(cmd.Context(), args[0], a.In)
		}}
}
