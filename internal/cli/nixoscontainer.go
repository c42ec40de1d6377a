package cli

import (
	"context"
	"path/filepath"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/internal/cli/nixoscontainer"
)

// IsNixosContainer reports whether berth was called by that name.
func IsNixosContainer(program string) bool { return filepath.Base(program) == nixoscontainer.Name }

// NixosContainer runs the command line of nixos-container(8), and returns its
// exit code.
func NixosContainer(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s, program: nixoscontainer.Name}
	defer a.close()
	return nixoscontainer.Main(ctx, args, nixoscontainer.Program{In: s.In, Out: s.Out, Err: s.Err, PrintError: a.printError,
		Open: func(root bool) (*berth.Host, error) {
			if root {
				return a.open()
			}
			return a.look()
		},
	})
}
