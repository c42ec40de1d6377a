package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// hidden reports whether what berth keeps of a container, if anything, is not for
// this user to read.
func (x Nixos) hidden(n container.Name) bool {
	if os.Geteuid() == 0 {
		return false
	}
	_, err := x.e.record(n)
	return errors.Is(err, fs.ErrPermission)
}

// State is what a container is doing. Users who may not read what berth keeps
// hear what the machine's systemd tells everybody.
func (x Nixos) State(ctx context.Context, n container.Name) (container.State, error) {
	if _, err := x.find(n); err != nil {
		return container.Stopped, err
	}
	if x.hidden(n) {
		return x.told(ctx, n)
	}
	o, err := x.observe(ctx, n)
	return o.State, err
}

// told is what units tell of a container: that of the host, or that of berth.
func (x Nixos) told(ctx context.Context, n container.Name) (container.State, error) {
	others, can := x.e.supervisor.(supervise.Others)
	if !can {
		return container.Stopped, container.NeedsRoot()
	}
	for _, unit := range []string{systemd.NixosUnit(n), systemd.Unit(x.e.Paths, n)} {
		if o, ok, err := others.Other(ctx, unit); err != nil || ok && o.State.Alive() {
			return o.State, err
		}
	}
	return container.Stopped, nil
}

// observe looks at a container, whoever runs it.
func (x Nixos) observe(ctx context.Context, n container.Name) (supervise.Observation, error) {
	if x.hidden(n) {
		return supervise.Observation{}, container.NeedsRoot()
	}
	if _, o, ok, err := x.foreign(ctx, n); ok || err != nil {
		return o, err
	}
	return x.e.locate(n)
}
