// Package supervisetest is the suite that every supervise.Supervisor passes.
// It works with real guests, which who runs it provides: an init that does
// what a Guest says.
package supervisetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/supervise"
)

// Guest says how a guest behaves, and how long it may take to be ready.
type Guest struct {
	Never, Deaf, Die bool          // it is never ready; does not shut down; ends at once
	Timeout          time.Duration // 0: that does not matter
}

// Subject is a supervisor and what makes containers for it. All are gone at
// the end of the test.
type Subject struct {
	supervise.Supervisor
	// Add makes a container with a guest.
	Add func(Guest) container.Name
	// Change gives a container that is not alive another guest.
	Change func(container.Name, Guest)
}

// Run runs the suite. Each test gets a subject of its own.
func Run(t *testing.T, subject func(*testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Subject)
	}{
		{"StartStop", startStop}, {"StopOfStopped", stopOfStopped}, {"StopLimit", stopLimit}, {"StopAtOnce", stopAtOnce},
		{"StopWhileStarting", stopWhileStarting}, {"StopCancelled", stopCancelled}, {"StartAfterFailure", startAfterFailure}, {"TimedOut", timedOut},
		{"Restart", restart}, {"PowerOff", powerOff}, {"AwaitCancelled", awaitCancelled}, {"AwaitMany", awaitMany},
		{"Freeze", freeze}, {"SetLimits", setLimits}, {"AtOnce", atOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, subject(t))
		})
	}
}

// limit is longer than anything takes here.
const limit = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until n is in the state.
func (s Subject) await(t *testing.T, n container.Name, state container.State) supervise.Observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o, err := s.Await(ctx, n, func(o supervise.Observation) bool { return o.State == state })
	if err != nil {
		t.Fatalf("wait until %s is %s: %v: %+v", n, state, err, o)
	}
	return o
}

// running starts a container and waits until its guest is ready.
func (s Subject) running(t *testing.T, g Guest) (container.Name, supervise.Observation) {
	t.Helper()
	n := s.Add(g)
	must(t, s.Start(t.Context(), n))
	return n, s.await(t, n, container.Running)
}

// stopped makes sure that nothing is left of n, whose init was leader.
func (s Subject) stopped(t *testing.T, n container.Name, before supervise.Observation) {
	t.Helper()
	o, err := s.Observe(n)
	must(t, err)
	if o.State != container.Stopped || o.Leftover || o.Leader != 0 {
		t.Errorf("after a stop: %+v", o)
	}
	if start, err := process.StartTime(before.Leader); before.Leader != 0 && err == nil && start == before.Started {
		t.Errorf("the guest's init %d lives on", before.Leader)
	}
}

func startStop(t *testing.T, s Subject) {
	n := s.Add(Guest{})
	o, err := s.Observe(n)
	must(t, err)
	if o.State != container.Stopped || o.Leader != 0 || o.Restarts != 0 {
		t.Errorf("before the first start: %+v", o)
	}
	for range 2 {
		must(t, s.Start(t.Context(), n))
		if o, err := s.Observe(n); err != nil || !o.State.Alive() {
			t.Errorf("after Start: %+v, %v", o, err)
		}
		o := s.await(t, n, container.Running)
		if start, err := process.StartTime(o.Leader); err != nil || start != o.Started || o.Since.IsZero() || o.Reason != "" {
			t.Errorf("running: %+v, %v", o, err)
		}
		must(t, s.Stop(t.Context(), n, limit))
		s.stopped(t, n, o)
	}
}

func stopOfStopped(t *testing.T, s Subject) {
	n := s.Add(Guest{})
	for _, d := range []time.Duration{limit, 0} {
		must(t, s.Stop(t.Context(), n, d))
	}
	must(t, s.Start(t.Context(), n))
	o := s.await(t, n, container.Running)
	for range 2 {
		must(t, s.Stop(t.Context(), n, limit))
		s.stopped(t, n, o)
	}
	must(t, s.Stop(t.Context(), n, 0))
}

func stopLimit(t *testing.T, s Subject) {
	n, o := s.running(t, Guest{Deaf: true})
	const patience = 300 * time.Millisecond
	begun := time.Now()
	must(t, s.Stop(t.Context(), n, patience))
	if took := time.Since(begun); took < patience {
		t.Errorf("the guest was killed after %v", took)
	}
	s.stopped(t, n, o)
}

func stopAtOnce(t *testing.T, s Subject) {
	n, o := s.running(t, Guest{Deaf: true})
	must(t, s.Stop(t.Context(), n, 0))
	s.stopped(t, n, o)
}

// stopWhileStarting stops a guest that has only just begun, at moments that
// differ.
func stopWhileStarting(t *testing.T, s Subject) {
	n := s.Add(Guest{})
	for i := range 8 {
		must(t, s.Start(t.Context(), n))
		time.Sleep(time.Duration(i) * 10 * time.Millisecond) // the moment matters, not an event
		var seen supervise.Observation
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			seen, _ = s.Await(ctx, n, func(o supervise.Observation) bool { return !o.State.Alive() })
		})
		begun := time.Now()
		must(t, s.Stop(t.Context(), n, limit))
		if took := time.Since(begun); took > limit/2 {
			t.Errorf("a stop soon after a start took %v", took)
		}
		wg.Wait()
		if seen.State != container.Stopped || seen.Reason != "" {
			t.Errorf("who waits for a guest that is shut down before it is ready sees %+v", seen)
		}
		s.stopped(t, n, supervise.Observation{})
	}
	s.Change(n, Guest{Never: true})
	must(t, s.Start(t.Context(), n))
	must(t, s.Stop(t.Context(), n, limit))
	s.stopped(t, n, supervise.Observation{})
}

func stopCancelled(t *testing.T, s Subject) {
	n, _ := s.running(t, Guest{Deaf: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx, n, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stop that was called off: %v", err)
	}
	must(t, s.Stop(t.Context(), n, 0))
}

func startAfterFailure(t *testing.T, s Subject) {
	n := s.Add(Guest{Die: true})
	for range 2 {
		_ = s.Start(t.Context(), n) // whether that shows now is open
		o := s.await(t, n, container.Failed)
		if o.Reason == "" || o.TimedOut {
			t.Errorf("after a failure: %+v", o)
		}
	}
	s.Change(n, Guest{})
	must(t, s.Start(t.Context(), n))
	if o := s.await(t, n, container.Running); o.Reason != "" || o.Restarts != 0 {
		t.Errorf("after a failure and a start: %+v", o)
	}
	must(t, s.Stop(t.Context(), n, limit))
	s.stopped(t, n, supervise.Observation{})
}

func timedOut(t *testing.T, s Subject) {
	n := s.Add(Guest{Never: true, Timeout: time.Second})
	must(t, s.Start(t.Context(), n))
	if o := s.await(t, n, container.Failed); !o.TimedOut || o.Reason == "" {
		t.Errorf("a guest that is never ready: %+v", o)
	}
	must(t, s.Stop(t.Context(), n, limit)) // it is a failure no more
	s.stopped(t, n, supervise.Observation{})
}

func restart(t *testing.T, s Subject) {
	n, before := s.running(t, Guest{})
	for i := range 3 {
		must(t, unix.Kill(before.Leader, unix.SIGKILL))
		o, err := s.Await(t.Context(), n, func(o supervise.Observation) bool {
			return o.State == container.Running && o.Leader != before.Leader && o.Leader != 0
		})
		must(t, err)
		if o.Restarts != i+1 || o.Failure == "" || o.Reason != "" {
			t.Errorf("after failure %d: %+v", i+1, o)
		}
		before = o
	}
	must(t, unix.Kill(before.Leader, unix.SIGKILL))
	must(t, s.Stop(t.Context(), n, limit)) // in the pause, or when it runs again
	s.stopped(t, n, before)
}

// powerOffSignal is SIGRTMIN+4; see systemd(1).
const powerOffSignal = unix.Signal(34 + 4)

func powerOff(t *testing.T, s Subject) {
	n, before := s.running(t, Guest{})
	must(t, unix.Kill(before.Leader, powerOffSignal))
	o := s.await(t, n, container.Stopped)
	if o.Reason != "" || o.Restarts != 0 {
		t.Errorf("after a guest powered off: %+v", o)
	}
	must(t, s.Stop(t.Context(), n, limit))
	s.stopped(t, n, before)
}

func awaitCancelled(t *testing.T, s Subject) {
	n, _ := s.running(t, Guest{})
	never := func(supervise.Observation) bool { return false }
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Await(ctx, n, never)
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Errorf("a wait for nothing ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel(cause)
	select {
	case err := <-ended:
		if !errors.Is(err, cause) {
			t.Errorf("a wait that was called off: %v", err)
		}
	case <-time.After(limit):
		t.Error("a wait that was called off goes on")
	}
	o, err := s.Await(ctx, n, func(o supervise.Observation) bool { return o.State == container.Running })
	if err != nil || o.Leader == 0 {
		t.Errorf("a wait for what is so already: %+v, %v", o, err)
	}
}

// awaitMany waits in many places for each of many changes, and misses none.
func awaitMany(t *testing.T, s Subject) {
	n := s.Add(Guest{})
	for range 3 {
		for _, want := range []container.State{container.Running, container.Stopped} {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					if _, err := s.Await(ctx, n, func(o supervise.Observation) bool { return o.State == want }); err != nil {
						t.Errorf("wait until it is %s: %v", want, err)
					}
				})
			}
			if want == container.Running {
				must(t, s.Start(t.Context(), n))
			} else {
				must(t, s.Stop(t.Context(), n, limit))
			}
			wg.Wait()
		}
	}
}

func freeze(t *testing.T, s Subject) {
	f, ok := s.Supervisor.(supervise.Grouper)
	if !ok {
		t.Fatalf("%T cannot freeze", s.Supervisor)
	}
	n, before := s.running(t, Guest{})
	for range 2 {
		must(t, f.Freeze(n, true))
		s.await(t, n, container.Paused)
	}
	for range 2 {
		must(t, f.Freeze(n, false))
		if o := s.await(t, n, container.Running); o.Leader != before.Leader {
			t.Errorf("after a pause: %+v", o)
		}
	}
	for _, d := range []time.Duration{limit, 0} { // a frozen guest can be stopped
		must(t, f.Freeze(n, true))
		must(t, s.Stop(t.Context(), n, d))
		s.stopped(t, n, before)
		must(t, s.Start(t.Context(), n))
		before = s.await(t, n, container.Running)
	}
}

func setLimits(t *testing.T, s Subject) {
	l, ok := s.Supervisor.(supervise.Grouper)
	if !ok {
		t.Fatalf("%T cannot change limits", s.Supervisor)
	}
	n, before := s.running(t, Guest{})
	for _, limits := range []container.Limits{
		{MemoryMax: 1 << 30, TasksMax: 100, CPUQuota: 50}, {MemoryMax: 512 << 20, TasksMax: 200}, {MemoryMax: 2 << 30}, {},
	} {
		for range 2 {
			must(t, l.SetLimits(n, limits))
		}
	}
	if o, err := s.Observe(n); err != nil || o.Leader != before.Leader {
		t.Errorf("after changes of limits: %+v, %v", o, err)
	}
}

// atOnce works on several containers at the same time.
func atOnce(t *testing.T, s Subject) {
	var wg sync.WaitGroup
	names := make([]container.Name, 5)
	for i := range names {
		names[i] = s.Add(Guest{})
	}
	for _, n := range names {
		wg.Go(func() {
			for range 2 {
				if err := s.cycle(t.Context(), n); err != nil {
					t.Errorf("%s: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
}

func (s Subject) cycle(ctx context.Context, n container.Name) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.Start(ctx, n); err != nil {
		return err
	}
	if _, err := s.Await(ctx, n, func(o supervise.Observation) bool { return o.State == container.Running }); err != nil {
		return err
	}
	if err := s.Stop(ctx, n, limit); err != nil {
		return err
	}
	if o, err := s.Observe(n); err != nil || o.State != container.Stopped {
		return fmt.Errorf("after Stop: %+v, %w", o, err)
	}
	return nil
}
