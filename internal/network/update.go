package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/firewall"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/sysctl"
)

// Update gives a running guest other ports, aliases, allowHost and ingress:
// those of l. Its links stay as they are. A guest that has no lease has
// nothing to update.
func Update(ctx context.Context, paths state.Paths, l Lease) error {
	return locked(ctx, paths, func() error {
		have, err := ReadLease(paths, l.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		next := have
		next.Ports, next.Aliases, next.AllowHost, next.Ingress = l.Ports, l.Aliases, l.AllowHost, l.Ingress
		if err := rulesOf(paths).Update(ctx, have, next); err != nil {
			return err
		}
		return writeLease(paths, next)
	})
}

// rulesOf are the rules of the berth at paths.
func rulesOf(paths state.Paths) Rules {
	return Rules{
		Instance: paths.Instance(),
		Leases:   func() ([]Lease, error) { return ReadLeases(paths) },
		Network:  func(name string) (Network, error) { return readNetwork(paths, name) },
	}
}

// readNetwork reads one network.
func readNetwork(paths state.Paths, name string) (Network, error) {
	var n Network
	return n, state.ReadJSON(paths.Network(name), &n)
}

// Change keeps a network that has changed, and has the rules for the guests
// that run on it made anew. Their links stay as they are.
func Change(ctx context.Context, paths state.Paths, n Network) error {
	return locked(ctx, paths, func() error {
		if err := WriteNetwork(paths, n); err != nil {
			return err
		}
		leases, err := ReadLeases(paths)
		on := func(l Lease) bool {
			return slices.ContainsFunc(l.Links, func(k Link) bool { return k.Network == n.Name })
		}
		if err != nil || !slices.ContainsFunc(leases, on) {
			return err
		}
		r := rulesOf(paths)
		_, err = r.tables(Lease{}, Lease{}).Rebuild()
		return err
	})
}

// Broken reports whether somebody has taken away rules of guests that run, or a
// part of them, as "nft flush ruleset" does.
func Broken(ctx context.Context, paths state.Paths) (bool, error) {
	return ifBroken(ctx, paths, rulesOf(paths).broken)
}

// Mend makes rules anew that somebody has taken away, and reports whether that
// was so.
func Mend(ctx context.Context, paths state.Paths) (mended bool, err error) {
	return ifBroken(ctx, paths, rulesOf(paths).mend)
}

// Lapsed are settings of the kernel that guests need who run, and that somebody
// has changed since.
func Lapsed(paths state.Paths) ([]sysctl.Setting, error) {
	if needed, err := rulesOf(paths).needed(); err != nil || !needed {
		return nil, err
	}
	settings, err := kernelSettings()
	if err != nil {
		return nil, err
	}
	return sysctl.Lapsed(settings...)
}

// Renew gives such settings their values again, as the next start of a guest
// would, and returns them. After the last guest they are what somebody made them.
func Renew(ctx context.Context, paths state.Paths) (renewed []sysctl.Setting, err error) {
	if renewed, err = Lapsed(paths); err != nil || len(renewed) == 0 {
		return nil, err
	}
	err = locked(ctx, paths, func() error {
		if renewed, err = Lapsed(paths); err != nil || len(renewed) == 0 {
			return err // the last guest has just gone
		}
		return sysctl.Borrow(ctx, paths.Instance(), renewed...)
	})
	return renewed, err
}

// Flooding are the guests that were lately refused connections since they had as
// many as one may have.
func Flooding(paths state.Paths) ([]container.Name, error) {
	full, err := firewall.Tables{Instance: paths.Instance()}.Full()
	if err != nil {
		return nil, fmt.Errorf("look who has too many connections: %w", err)
	}
	leases, err := ReadLeases(paths)
	var out []container.Name
	for _, l := range leases {
		if slices.ContainsFunc(l.Links, func(k Link) bool {
			return slices.Contains(full.Links, k.Host) || slices.ContainsFunc(full.MACs, func(m net.HardwareAddr) bool { return m.String() == k.MAC.Hardware().String() })
		}) {
			out = append(out, l.Name)
		}
	}
	return out, err
}

// ifBroken calls f with the lock if rules seem to be gone: another process may
// just have been changing them.
func ifBroken(ctx context.Context, paths state.Paths, f func() (bool, error)) (was bool, err error) {
	if broken, err := rulesOf(paths).broken(); err != nil || !broken {
		return false, err
	}
	err = locked(ctx, paths, func() error {
		was, err = f()
		return err
	})
	return was, err
}

// PortTraffic counts what went through the ports of a running guest.
func PortTraffic(paths state.Paths, n container.Name) ([]Traffic, error) {
	l, err := ReadLease(paths, n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return rulesOf(paths).Traffic(l)
}
