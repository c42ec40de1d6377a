package cli

import (
	"github.com/spf13/cobra"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// The commands that berth runs itself.

func (a *app) paths() (state.Paths, error) {
	root, err := a.rootDir()
	return state.Paths{Root: root}, err
}

// supervisor is the embedded one, and the container that a shim is for.
func (a *app) supervisor(name string) (*embedded.Supervisor, container.Name, error) {
	n, err := container.ParseName(name)
	if err != nil {
		return nil, "", err
	}
	paths, err := a.paths()
	if err != nil {
		return nil, "", err
	}
	h, err := cgroup.Mounted()
	return embedded.New(paths, h), n, err
}

// shimCmd is the process beside a container under the embedded supervisor.
func (a *app) shimCmd() *cobra.Command {
	return &cobra.Command{
		Use: "shim NAME", Hidden: true, Args: argsError(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			s, n, err := a.supervisor(args[0])
			if err != nil {
				return err
			}
			return s.RunShim(n)
		},
	}
}

// runCmd becomes systemd-nspawn.
func (a *app) runCmd() *cobra.Command {
	var inShim bool
	var lost string
	c := &cobra.Command{
		Use: "run NAME", Hidden: true, Args: argsError(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, n, err := a.supervisor(args[0])
			if err != nil {
				return err
			}
			if !inShim {
				return systemd.Launch(cmd.Context(), s.Paths, n)
			}
			return s.Launch(n, lost)
		},
	}
	c.Flags().BoolVar(&inShim, "embedded", false, "a shim is the parent")
	c.Flags().StringVar(&lost, "lost", "", "what the guest goes without")
	return c
}

// haltCmd is how a unit begins to stop.
func (a *app) haltCmd() *cobra.Command {
	return &cobra.Command{
		Use: "halt NAME", Hidden: true, Args: argsError(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, n, err := a.supervisor(args[0])
			if err != nil {
				return err
			}
			return systemd.Halt(cmd.Context(), s.Paths, s.Cgroups, n)
		},
	}
}
