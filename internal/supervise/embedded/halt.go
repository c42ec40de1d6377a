package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/state"
)

const (
	// haltLimit bounds a program of the guest that asks its init to shut down.
	haltLimit = 5 * time.Second
	// resend is the time after which an init that did not listen is asked
	// again: signals that come before it does are lost.
	resend = 250 * time.Millisecond
	// resendCommand is the same where a program has asked: runit takes no
	// notice while it boots, and does not say so.
	resendCommand = 2 * time.Second
	// firstMoments is the time in which a guest that is ready may still lose a
	// signal: inits that do not say READY=1 count as ready when they begin, and
	// runtimes of languages catch signals before the init itself does.
	firstMoments = time.Second
)

// halt asks the guest's init once to shut down. It is to be asked again after
// a while, if it has not ended by then, unless again is 0.
func (s *Supervisor) halt(ctx context.Context, n container.Name, st *status, ready bool) (again time.Duration, err error) {
	launched, err := state.ReadLaunched(s.Paths.Run(n))
	if errors.Is(err, fs.ErrNotExist) {
		return resend, nil // the guest is still to come
	} else if err != nil {
		return resend, err
	}
	g, err := guest.Hold(st.Leader, st.LeaderStart, s.Cgroups)
	if err != nil {
		return resend, nil // not there yet, or not there any more
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(ctx, haltLimit)
	defer cancel()
	heard, err := g.Halt(ctx, launched.Init)
	switch {
	case err != nil || !heard || !ready:
		return resend, err
	case launched.Init.HaltCommand() != nil:
		return resendCommand, nil
	}
	return 0, nil
}

// updates reports whether the guest installs an update before it is ready.
func (s *Supervisor) updates(n container.Name) bool {
	launched, err := state.ReadLaunched(s.Paths.Run(n))
	return err == nil && launched.Updates
}

// ask asks the guest to shut down, and sets the time to do so again.
func (h *shim) ask(again *time.Ticker) {
	grown := !h.readySince.IsZero() && time.Since(h.readySince) > firstMoments
	next, err := h.halt(context.Background(), h.name, &h.status, grown)
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
	}
	if next == 0 {
		again.Stop()
	} else {
		again.Reset(next)
	}
}
