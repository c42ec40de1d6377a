package embedded

import (
	"context"
	"fmt"
	"os"

	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/network"
)

// admit answers at the guest's gate, if it has one, until stop is called, which
// returns when nothing is done for the guest any more.
func (h *shim) admit(c launch.Command) (stop func()) {
	if c.Gate == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = network.Admit(ctx, h.Paths, c.Lease, c.Gate, h.complain) // the guest ends with an error, and its reason is kept
	}()
	return func() {
		cancel()
		_ = c.Gate.Close()
		<-done
	}
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
