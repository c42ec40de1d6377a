package systemd

import (
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
	conn    *dbus.Conn
	match   []dbus.MatchOption
	signals chan *dbus.Signal
	changed chan struct{} // has a value when something has changed
	closed  chan struct{} // ends hear
	ended   chan struct{} // closed when the connection has ended
}

func (s *Supervisor) watch(ctx context.Context, n container.Name) (*watch, error) {
	l, err := s.connect()
	if err != nil {
		return nil, err
	}
	conn := l.Conn
	path := unitPath(s.unit(n))
	w := &watch{
		conn: conn, signals: make(chan *dbus.Signal, 16),
		match:   []dbus.MatchOption{dbus.WithMatchObjectPath(path), dbus.WithMatchInterface("org.freedesktop.DBus.Properties")},
		changed: make(chan struct{}, 1), closed: make(chan struct{}), ended: make(chan struct{}),
	}
	// For a bus; systemd itself knows neither, and sends all there is.
	_ = conn.Object(manager, managerPath).CallWithContext(ctx, manager+".Manager.Subscribe", 0).Err
	_ = conn.AddMatchSignalContext(ctx, w.match...)
	conn.Signal(w.signals)
	go w.hear(path)
	return w, nil
}

func (w *watch) hear(path dbus.ObjectPath) {
	for {
		select {
		case <-w.closed:
			return
		case sig, ok := <-w.signals:
			if !ok {
				close(w.ended)
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

// Next returns when something has changed since the last call.
func (w *watch) Next(ctx context.Context) error {
	select {
	case <-w.changed:
		return nil
	case <-w.ended:
		return errors.New("systemd has closed the connection: it was restarted")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the watch.
func (w *watch) Close() {
	w.conn.RemoveSignal(w.signals)
	close(w.closed)
	_ = w.conn.RemoveMatchSignal(w.match...)
}
