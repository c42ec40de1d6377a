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
	"github.com/berth-containers/berth/internal/network/link"
	"github.com/berth-containers/berth/internal/state"
)

// Detach takes down what the lease of a container says, whose guest does not
// run any more, and gives the lease up. A container without one has nothing.
func Detach(ctx context.Context, paths state.Paths, n container.Name) error {
	if _, err := os.Lstat(paths.Lease(n)); errors.Is(err, fs.ErrNotExist) {
		if len(halves(paths.Leases())) > 0 {
			err = locked(ctx, paths, func() error { return removeHalves(paths.Leases()) })
		} else {
			err = nil
		}
		return errors.Join(err, unpin(paths, n))
	}
	return locked(ctx, paths, func() (err error) {
		host, err := link.Own()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, host.Close()) }()
		was, err := release(paths, n, host)
		if err != nil {
			return err
		}
		if err := rulesOf(paths).Remove(ctx, was); err != nil {
			return err
		}
		if err := removeBridges(paths, n, host); err != nil {
			return err
		}
		return errors.Join(state.RemoveFile(paths.Lease(n)), removeHalves(paths.Leases()))
	})
}

// halves are files in a directory of which a process that was killed has written
// a part, and that it has not put in place; or one that is just being written.
func halves(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".tmp-") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// removeHalves removes them. Whoever writes one has the lock.
func removeHalves(dir string) (err error) {
	for _, h := range halves(dir) {
		err = errors.Join(err, state.RemoveFile(h))
	}
	return err
}

// release takes down the links of a container, and gives back those that it
// was lent. Bridges and rules stay: those of the lease that it returns.
func release(paths state.Paths, n container.Name, host *link.Namespace) (Lease, error) {
	l, err := ReadLease(paths, n)
	if errors.Is(err, fs.ErrNotExist) {
		return Lease{}, nil
	} else if err != nil {
		return l, err
	}
	if err := giveBack(paths, l, host); err != nil {
		return l, err
	}
	for _, k := range l.Links {
		if k.Kind != Bridged && k.Kind != Point {
			continue // it goes with the guest
		}
		if _, err := host.Remove(k.Host, ours(paths, n), hardwareOf(paths, l, k.Guest)); err != nil {
			return l, err
		}
		if k.Network == "" {
			continue
		}
		for _, p := range k.Addresses {
			if err := host.RemoveNeighbour(k.Bridge, p.Addr()); err != nil {
				return l, err
			}
		}
	}
	return l, unpin(paths, n)
}

// giveBack moves interfaces that the guest was lent back, as they were. One
// that is nowhere any more, since its hardware was taken out, is not waited for.
func giveBack(paths state.Paths, l Lease, host *link.Namespace) (err error) {
	guest, err := pinned(paths, l.Name)
	if err != nil {
		return err
	}
	if guest != nil {
		defer func() { err = errors.Join(err, guest.Close()) }()
	}
	for _, k := range l.Links {
		if k.Was == nil {
			continue
		}
		if err := giveOneBack(k, guest, host); err != nil {
			return fmt.Errorf("give %s back to the host: %w", k.Host, err)
		}
	}
	return nil
}

func giveOneBack(k Link, guest, host *link.Namespace) error {
	for _, from := range []*link.Namespace{guest, host} {
		if from == nil {
			continue
		}
		name, err := lent(k, from)
		if err != nil {
			return err
		}
		if name == "" || from == host && name == k.Host {
			continue
		}
		// The guest may have called it as it likes; the kernel, too, where it
		// came back because nothing held the guest's namespace.
		if err := from.Move(name, host, k.Host); err != nil {
			return err
		}
	}
	err := host.Restore(k.Host, *k.Was)
	if errors.Is(err, link.ErrNotFound) {
		return nil
	}
	return err
}

// lent is what an interface that the guest was lent is called in a namespace;
// "" if it is not there.
func lent(k Link, in *link.Namespace) (string, error) {
	name, err := in.Find(*k.Was)
	if name != "" || err != nil {
		return name, err
	}
	for _, name := range []string{k.Guest, k.Host} { // without an address, as some tunnels are
		if _, err := in.Owner(name); err == nil && k.Was.MAC == "" {
			return name, nil
		}
	}
	return "", nil
}

// removeBridges removes the bridges of berth's networks that no guest has but
// n, and with the last what network managers were told.
func removeBridges(paths state.Paths, n container.Name, host *link.Namespace) error {
	all, err := ReadLeases(paths)
	if err != nil {
		return err
	}
	used, mine := map[string]bool{}, map[string]bool{}
	others := false
	for _, l := range all {
		others = others || l.Name != n
		for _, k := range l.Links {
			if k.Network == "" {
				continue
			}
			if l.Name == n {
				mine[k.Bridge] = true
			} else {
				used[k.Bridge] = true
			}
		}
	}
	for bridge := range mine {
		if used[bridge] {
			continue
		}
		b := bridgeOf(paths, Network{Bridge: bridge})
		if _, err := host.Remove(b.Name, b.Mark.Owner, b.MAC); err != nil {
			return err
		}
	}
	if others {
		return nil
	}
	return unmanage(paths)
}
