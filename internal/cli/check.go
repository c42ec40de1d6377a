package cli

import (
	"github.com/spf13/cobra"

	"github.com/berth-containers/berth/internal/declare"
)

// checkCmd reads declarations and does nothing, for those who build a machine
// on another one: it looks at no host.
func (a *app) checkCmd() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE...", Hidden: true, Args: takes(1, noLimit),
		RunE: func(_ *cobra.Command, files []string) error {
			_, err := declare.Loader{}.Load(files...)
			return err
		},
	}
}
