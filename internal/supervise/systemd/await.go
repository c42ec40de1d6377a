package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/supervise"
)

// Await implements supervise.Supervisor.
func (s *Supervisor) Await(ctx context.Context, n container.Name, done func(supervise.Observation) bool) (supervise.Observation, error) {
	job := s.takeJob(n)
	for {
		o, err := s.awaitWatching(ctx, n, job, done)
		if !errors.Is(err, errLost) {
			return o, err
		}
	}
}

// awaitWatching is Await as long as one connection lasts; the error is errLost
// where that ended.
func (s *Supervisor) awaitWatching(ctx context.Context, n container.Name, job <-chan string, done func(supervise.Observation) bool) (supervise.Observation, error) {
	w, err := s.watch(ctx, n)
	if err != nil {
		return supervise.Observation{}, err
	}
	defer w.Close()
	for {
		o, err := s.Observe(n)
		if err == nil && !o.State.Alive() {
			err = s.startRefused(ctx, n, job)
		}
		if err != nil || done(o) {
			return o, err
		}
		if err := w.Next(ctx); err != nil {
			return o, err
		}
	}
}

// startRefused is why the job to start a container that does not run came to
// nothing, where that is not the container's own failure.
func (s *Supervisor) startRefused(ctx context.Context, n container.Name, job <-chan string) error {
	if job == nil {
		return nil
	}
	select {
	case result := <-job:
		switch result {
		case "done", "failed", "timeout", "canceled":
			return nil // the state tells
		case "dependency":
			return s.missingDependency(ctx, n)
		}
		return fmt.Errorf("systemd does not start %s: the job ended with %q", s.unit(n), result)
	case <-time.After(jobGrace):
	case <-ctx.Done():
	}
	return nil
}

// jobGrace is for the result of a job whose unit shows that the job has ended.
const jobGrace = time.Second

// watch hears of changes of one unit.
type watch struct {
	*link
	match   []dbus.MatchOption
	signals chan *dbus.Signal
	changed chan struct{} // has a value when something has changed
	closed  chan struct{} // ends hear
}

func (s *Supervisor) watch(ctx context.Context, n container.Name) (*watch, error) {
	path := unitPath(s.unit(n))
	w := &watch{
		signals: make(chan *dbus.Signal, 16), changed: make(chan struct{}, 1), closed: make(chan struct{}),
		match: []dbus.MatchOption{dbus.WithMatchObjectPath(path), dbus.WithMatchInterface("org.freedesktop.DBus.Properties")},
	}
	err := s.ask(ctx, func(ctx context.Context, l *link) error {
		w.link = l
		return l.subscribe(ctx, w.match)
	})
	if err != nil {
		return nil, fmt.Errorf("hear of changes of %s: %w", s.unit(n), err)
	}
	w.Signal(w.signals)
	go w.hear(path)
	return w, nil
}

// subscribe asks for signals. On its own socket systemd sends all there are,
// unasked.
func (l *link) subscribe(ctx context.Context, match []dbus.MatchOption) error {
	if !l.byBus {
		return nil
	}
	err := l.Object(manager, managerPath).CallWithContext(ctx, manager+".Manager.Subscribe", 0).Err
	var known dbus.Error
	if errors.As(err, &known) && known.Name == manager+".AlreadySubscribed" {
		err = nil
	}
	return errors.Join(err, l.AddMatchSignalContext(ctx, match...))
}

func (w *watch) hear(path dbus.ObjectPath) {
	for {
		select {
		case <-w.closed:
			return
		case sig, ok := <-w.signals:
			if !ok {
				return
			}
			if sig.Path != path {
				continue
			}
		}
		select {
		case w.changed <- struct{}{}:
		default: // nobody has looked since the last one
		}
	}
}

// lookAgain is the time after which one looks although nothing was heard:
// systemd does not send a signal again that it could not send.
const lookAgain = 15 * time.Second

// errLost is the end of a watch whose connection has ended, as when systemd
// executes itself again.
var errLost = errors.New("systemd has closed the connection")

// Next returns when something may have changed since the last call.
func (w *watch) Next(ctx context.Context) error {
	select {
	case <-w.changed:
		return nil
	case <-w.Context().Done():
		return cmp.Or(context.Cause(ctx), errLost)
	case <-time.After(lookAgain):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the watch.
func (w *watch) Close() {
	w.RemoveSignal(w.signals)
	close(w.closed)
	if w.byBus {
		ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
		defer cancel()
		_ = w.RemoveMatchSignalContext(ctx, w.match...)
	}
}
