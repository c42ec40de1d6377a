package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
)

// The commands that berth runs itself.

func (a *app) paths() state.Paths { return state.Paths{Root: a.root} }

// shimCmd is the process beside a container under the embedded supervisor.
func (a *app) shimCmd() *cobra.Command {
	return &cobra.Command{
		Use: "shim NAME", Hidden: true, Args: argsError(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := container.ParseName(args[0])
			if err != nil {
				return err
			}
			s, err := embedded.New(a.paths())
			if err != nil {
				return err
			}
			return s.RunShim(n, os.NewFile(3, "report"))
		},
	}
}

// runCmd becomes systemd-nspawn.
func (a *app) runCmd() *cobra.Command {
	var inShim bool
	var lost string
	c := &cobra.Command{
		Use: "run NAME", Hidden: true, Args: argsError(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := container.ParseName(args[0])
			if err != nil {
				return err
			}
			if !inShim {
				return launch.Run(a.paths(), n)
			}
			s, err := embedded.New(a.paths())
			if err != nil {
				return err
			}
			return s.Launch(n, lost)
		},
	}
	c.Flags().BoolVar(&inShim, "embedded", false, "a shim is the parent")
	c.Flags().StringVar(&lost, "lost", "", "what the guest goes without")
	return c
}
