package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// Await implements supervise.Supervisor.
func (s *Supervisor) Await(ctx context.Context, n container.Name, done func(supervise.Observation) bool) (supervise.Observation, error) {
	if o, err := s.Observe(n); err != nil || done(o) {
		return o, err
	}
	if err := s.awaitReport(ctx, n); err != nil {
		return supervise.Observation{}, err
	}
	if o, err := s.Observe(n); err != nil || done(o) {
		return o, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return supervise.Observation{}, fmt.Errorf("watch %s: %w", s.Paths.Run(n), err)
	}
	defer w.Close()
	for {
		// The directory comes and goes with the container, so its parent is
		// watched too. To watch one twice is no error.
		_ = w.Add(s.Paths.Runs())
		_ = w.Add(s.Paths.Run(n))
		o, err := s.observeOrWait(ctx, n, done, w.Events)
		if err != nil || done(o) {
			return o, err
		}
	}
}

// observeOrWait observes n; where that is not what done wants, it waits until
// it may have changed.
func (s *Supervisor) observeOrWait(ctx context.Context, n container.Name, done func(supervise.Observation) bool, changes <-chan fsnotify.Event) (supervise.Observation, error) {
	ended, release := s.shimEnded(n)
	defer release()
	o, err := s.Observe(n)
	if err != nil || done(o) {
		return o, err
	}
	select {
	case <-changes:
	case <-ended:
	case <-ctx.Done():
		return o, context.Cause(ctx)
	}
	return o, nil
}

// shim is the living shim of n. The error where there is none is ESRCH.
func (s *Supervisor) shim(n container.Name) (*process.Process, error) {
	st, err := readStatus(s.statusFile(n))
	if err != nil {
		return nil, err
	}
	if st == nil || st.Shim == 0 {
		return nil, unix.ESRCH
	}
	p, err := process.Open(st.Shim)
	if err != nil {
		return nil, err
	}
	if !state.Held(s.shimLock(n)) { // it has ended, and the PID may be another's
		p.Close()
		return nil, unix.ESRCH
	}
	return p, nil
}

// signalShim sends sig to the shim, if there is one. One that has just started
// is waited for until its PID is known.
func (s *Supervisor) signalShim(ctx context.Context, n container.Name, sig unix.Signal) error {
	p, err := s.shim(n)
	for err == unix.ESRCH && state.Held(s.shimLock(n)) {
		if err := pause(ctx); err != nil {
			return err
		}
		p, err = s.shim(n)
	}
	if err == unix.ESRCH {
		return nil
	} else if err != nil {
		return err
	}
	defer p.Close()
	return p.Signal(sig)
}

// pause is for the moments in which a shim has its lock but no PID is known.
func pause(ctx context.Context) error {
	select {
	case <-time.After(5 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitShim waits until n has no shim.
func (s *Supervisor) awaitShim(ctx context.Context, n container.Name) error {
	for state.Held(s.shimLock(n)) {
		ended, release := s.shimEnded(n)
		if ended == nil { // it has ended since
			release()
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			release()
			return context.Cause(ctx)
		}
		release()
	}
	return nil
}

// shimEnded is closed when the shim of n ends. Where there is one whose PID is
// not known, because it has just started or is about to end, that is after a
// moment. Where there is none it is nil.
func (s *Supervisor) shimEnded(n container.Name) (ended <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := s.shim(n)
	if err != nil && !state.Held(s.shimLock(n)) {
		return nil, cancel
	}
	c := make(chan struct{})
	go func() {
		defer close(c)
		if err == nil {
			_ = p.Await(ctx)
			p.Close()
			return
		}
		_ = pause(ctx)
	}()
	return c, cancel
}
