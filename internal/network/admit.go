package network

import (
	"context"
	"os"

	"github.com/berth-containers/berth/internal/preinit"
	"github.com/berth-containers/berth/internal/state"
)

// Admit attaches the guest that asks at a gate, and lets its init run. It
// returns when that runs, or why it does not: tell is called with that first,
// while the guest still waits. Where the gate is closed before a guest came the
// error matches preinit.ErrClosed. attached is called when the links are in place,
// and the guest still waits.
func Admit(ctx context.Context, paths state.Paths, l Lease, gate *preinit.Gate, attached func(), tell func(error)) error {
	return gate.Serve(func(netns *os.File) (preinit.Settings, error) {
		if err := Attach(ctx, paths, l, netns); err != nil {
			return preinit.Settings{}, err
		}
		attached()
		return Settings(l), nil
	}, tell)
}
