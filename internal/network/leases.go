package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// ReadLease reads what a container has of the network; the error matches
// fs.ErrNotExist where it has nothing.
func ReadLease(paths state.Paths, n container.Name) (Lease, error) {
	var l Lease
	return l, state.ReadJSON(paths.Lease(n), &l)
}

// writeLease replaces the lease of a container.
func writeLease(paths state.Paths, l Lease) error {
	if err := os.MkdirAll(paths.Leases(), 0o700); err != nil {
		return err
	}
	return state.WriteRuntimeJSON(paths.Lease(l.Name), l)
}

// Leased are the names of the containers that have leases, sorted.
func Leased(paths state.Paths) ([]container.Name, error) {
	entries, err := os.ReadDir(paths.Leases())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []container.Name
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if n, err := container.ParseName(name); ok && err == nil {
			out = append(out, n)
		}
	}
	return out, nil
}

// ReadLeases reads the leases of all containers.
func ReadLeases(paths state.Paths) ([]Lease, error) {
	names, err := Leased(paths)
	if err != nil {
		return nil, err
	}
	var out []Lease
	for _, n := range names {
		l, err := ReadLease(paths, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just gone
		} else if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// locked calls f with the lock of all that berth has in the kernel's network.
func locked(ctx context.Context, paths state.Paths, f func() error) error {
	lock, err := state.AwaitLock(ctx, filepath.Join(paths.Locks(), ".network"))
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return errors.Join(f(), lock.Unlock())
}
