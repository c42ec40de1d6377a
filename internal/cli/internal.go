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

// shimCmd is the process beside a container under the embedded supervisor.
func (a *app) shimCmd() *cobra.Command {
	return &cobra.Command{
		Use: "shim NAME", Hidden: true, Args: argsError(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := container.ParseName(args[0])
			if err != nil {
				return err
			}
			paths, err := a.paths()
			if err != nil {
				return err
			}
			h, err := cgroup.Mounted()
			if err != nil {
				return err
			}
			return embedded.New(paths, h).RunShim(n)
		},
	}
}

// runCmd becomes systemd-nspawn, for a unit.
func (a *app) runCmd() *cobra.Command {
	return &cobra.Command{
		Use: "run NAME", Hidden: true, Args: argsError(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := container.ParseName(args[0])
			if err != nil {
				return err
			}
			paths, err := a.paths()
			if err != nil {
				return err
			}
			return systemd.Launch(cmd.Context(), paths, n)
		},
	}
}
