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
	if o, err := s.Observe(n); err != nil || done(o) && o.State.Alive() {
		return o, err
	}
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

// watch hears of changes of one unit. It has a connection of its own, because
// a connection has one consumer of signals.
type watch struct {
	conn    *dbus.Conn
	changed chan struct{} // has a value when something has changed
	ended   chan struct{} // closed when the connection has ended
}

func (s *Supervisor) watch(ctx context.Context, n container.Name) (*watch, error) {
	conn, err := dial(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	var path dbus.ObjectPath
	err = conn.Object(manager, managerPath).CallWithContext(ctx, manager+".Manager.LoadUnit", 0, s.unit(n)).Store(&path)
	if err != nil {
		conn.Close()
		return nil, errors.Join(context.Cause(ctx), fmt.Errorf("load unit %s: %w", s.unit(n), err))
	}
	// For a bus; systemd itself knows neither, and sends all there is.
	_ = conn.Object(manager, managerPath).CallWithContext(ctx, manager+".Manager.Subscribe", 0).Err
	_ = conn.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(path), dbus.WithMatchInterface("org.freedesktop.DBus.Properties"))
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	w := &watch{conn, make(chan struct{}, 1), make(chan struct{})}
	w.changed <- struct{}{} // what was seen before is old
	go w.hear(path, signals)
	return w, nil
}

func (w *watch) hear(path dbus.ObjectPath, signals <-chan *dbus.Signal) {
	defer close(w.ended)
	for sig := range signals {
		if sig.Path != path {
			continue
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
func (w *watch) Close() { w.conn.Close() }
