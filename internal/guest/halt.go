package guest

import (
	"context"
	"os"

	"github.com/berth-containers/berth/internal/boot"
)

// Halt asks the guest's init, which is i, to shut down, and reports whether it
// was listening: one that has just started may not be, and is to be asked
// again. It does not wait for the end.
func (g *Guest) Halt(ctx context.Context, i boot.Init) (heard bool, err error) {
	if command := i.HaltCommand(); command != nil {
		return g.haltBy(ctx, command)
	}
	// What comes before the init may take the signal, and become the init all the
	// same.
	runs, err := g.initRuns()
	heard = err == nil && runs && g.leader.Listens(i.HaltSignal())
	return heard, g.leader.Signal(i.HaltSignal())
}

// Await waits until the guest's init has ended, which is no error.
func (g *Guest) Await(ctx context.Context) error { return g.leader.Await(ctx) }

// haltBy runs a program of the guest that passes the wish on to its init.
func (g *Guest) haltBy(ctx context.Context, command []string) (heard bool, err error) {
	if own, err := ownRoot(g.root); err != nil || !own {
		return false, err // it has hardly begun
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer null.Close()
	code, err := g.Exec(ctx, Command{Args: command, Dir: "/", Stdin: null, Stdout: null, Stderr: null})
	return code == 0, err
}
