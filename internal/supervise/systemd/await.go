package systemd

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/supervise"
)

// Await implements supervise.Supervisor.
func (s *Supervisor) Await(ctx context.Context, n container.Name, done func(supervise.Observation) bool) (supervise.Observation, error) {
	if o, err := s.Observe(n); err != nil || done(o) {
		return o, err
	}
	changes, release, err := s.changes(n)
	if err != nil {
		return supervise.Observation{}, err
	}
	defer release()
	for {
		o, err := s.Observe(n)
		if err != nil || done(o) {
			return o, err
		}
		select {
		case _, ok := <-changes:
			if !ok {
				return o, fmt.Errorf("the connection to D-Bus has ended")
			}
		case <-ctx.Done():
			return o, context.Cause(ctx)
		}
	}
}

// changes gets a value when properties of the container's unit change. It has
// a connection of its own, because a connection has one consumer of signals.
func (s *Supervisor) changes(n container.Name) (<-chan *dbus.Signal, func(), error) {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, nil, fmt.Errorf("connect to D-Bus: %w", err)
	}
	release := func() { conn.Close() }
	manager := conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	if err := manager.Call("org.freedesktop.systemd1.Manager.Subscribe", 0).Err; err != nil {
		release()
		return nil, nil, fmt.Errorf("subscribe to systemd: %w", err)
	}
	var path dbus.ObjectPath
	if err := manager.Call("org.freedesktop.systemd1.Manager.LoadUnit", 0, s.unit(n)).Store(&path); err != nil {
		release()
		return nil, nil, fmt.Errorf("load unit %s: %w", s.unit(n), err)
	}
	err = conn.AddMatchSignal(dbus.WithMatchObjectPath(path), dbus.WithMatchInterface("org.freedesktop.DBus.Properties"),
		dbus.WithMatchMember("PropertiesChanged"))
	if err != nil {
		release()
		return nil, nil, err
	}
	c := make(chan *dbus.Signal, 64)
	conn.Signal(c)
	return c, release, nil
}
