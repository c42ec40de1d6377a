package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-containers/berth/internal/network/firewall"
	"github.com/berth-containers/berth/internal/sysctl"
)

// Rules keeps the firewall of one berth, and the settings of the kernel that
// its networks need, as its leases say. Whoever calls it has the lock of the
// network.
type Rules struct {
	Instance string // as Paths.Instance gives it
	// Leases are all leases as they have to be after the change that is being
	// made. They are asked for where the tables have to be made anew.
	Leases func() ([]Lease, error)
	// Network is the network of berth with that name.
	Network func(name string) (Network, error)
}

// Add puts the rules of a lease in place. It is called before any link is up.
// To add a lease again changes nothing.
func (r Rules) Add(ctx context.Context, l Lease) error { return r.Update(ctx, Lease{}, l) }

// Remove takes the rules of a lease away, and with the last one the tables. It
// is called when its links are gone; the file of the lease may still be there.
func (r Rules) Remove(ctx context.Context, l Lease) error { return r.Update(ctx, l, Lease{}) }

// Update makes of the rules of one lease those of another.
func (r Rules) Update(ctx context.Context, was, is Lease) error {
	wanted, err := r.rules(is)
	if err != nil {
		return err
	}
	old, err := r.rules(was)
	if err != nil { // its network is gone: what remains says what there has to be
		return r.rebuild(ctx, was, is)
	}
	if len(old.Guests) == 0 && len(wanted.Guests) == 0 {
		return nil
	}
	empty, err := r.tables(was, is).Update(old, wanted)
	if err != nil {
		return fmt.Errorf("rules of the network: %w", err)
	}
	return r.settle(ctx, empty)
}

// broken reports whether tables that there have to be are gone, of another
// version, or not as the leases say.
func (r Rules) broken() (bool, error) {
	if needed, err := r.needed(); err != nil || !needed {
		return false, err
	}
	intact, err := r.tables(Lease{}, Lease{}).Intact()
	return err == nil && !intact, err
}

// needed reports whether there are guests that the rules are for.
func (r Rules) needed() (bool, error) {
	leases, err := r.Leases()
	return slices.ContainsFunc(leases, func(l Lease) bool { return len(l.guest().Links) > 0 }), err
}

// mend makes tables anew that are broken, and reports whether they were.
func (r Rules) mend() (bool, error) {
	broken, err := r.broken()
	if err == nil && broken {
		_, err = r.tables(Lease{}, Lease{}).Rebuild()
	}
	return broken, err
}

func (r Rules) rebuild(ctx context.Context, was, is Lease) error {
	empty, err := r.tables(was, is).Rebuild()
	if err != nil {
		return fmt.Errorf("rules of the network: %w", err)
	}
	return r.settle(ctx, empty)
}

func (r Rules) tables(was, is Lease) firewall.Tables {
	return firewall.Tables{Instance: r.Instance, All: func() (firewall.Rules, error) { return r.all(was, is) }}
}

// settle lets the kernel forward while there are guests.
func (r Rules) settle(ctx context.Context, empty bool) error {
	if empty {
		return sysctl.Return(ctx, r.Instance)
	}
	settings, err := kernelSettings()
	if err != nil {
		return err
	}
	return sysctl.Borrow(ctx, r.Instance, settings...)
}

// kernelSettings are what guests with links of their own need of the kernel.
func kernelSettings() ([]sysctl.Setting, error) {
	forwarding, err := sysctl.Forwarding()
	if err != nil {
		return nil, err
	}
	neighbours, err := sysctl.Neighbours()
	return append(forwarding, neighbours...), err
}

// all are the rules of all leases, with is in the place of was.
func (r Rules) all(was, is Lease) (firewall.Rules, error) {
	leases, err := r.Leases()
	if err != nil {
		return firewall.Rules{}, err
	}
	leases = slices.DeleteFunc(slices.Clone(leases), func(l Lease) bool { return l.Name == was.Name || l.Name == is.Name })
	return r.rules(append(leases, is)...)
}

// rules are what leases are in the firewall.
func (r Rules) rules(leases ...Lease) (firewall.Rules, error) {
	var out firewall.Rules
	seen, isolated := map[string]bool{"": true}, map[string]bool{}
	for _, l := range leases {
		g := l.guest()
		if len(g.Links) == 0 {
			continue
		}
		out.Guests = append(out.Guests, g)
		for _, k := range l.Links {
			if seen[k.Network] {
				continue
			}
			seen[k.Network] = true
			n, err := r.Network(k.Network)
			if err != nil {
				return out, fmt.Errorf("network %q of %s: %w", k.Network, l.Name, err)
			}
			out.Networks = append(out.Networks, n.firewall())
			isolated[n.Bridge] = n.Isolated
		}
	}
	for _, g := range out.Guests {
		for i := range g.Links {
			g.Links[i].Isolated = isolated[g.Links[i].Bridge]
		}
	}
	return out, nil
}

func (n Network) firewall() firewall.Network {
	return firewall.Network{Bridge: n.Bridge, Gateways: addresses(n.Gateways()), NAT: n.NAT, Isolated: n.Isolated, DHCP: n.DHCP}
}

// guest is what the firewall has to know of l. Links that the host does not see
// are not in it, and ports neither where there is no other.
func (l Lease) guest() firewall.Guest {
	var g firewall.Guest
	for _, k := range l.Links {
		switch k.Kind {
		case Bridged:
			g.Links = append(g.Links, firewall.Link{Host: k.Host, Bridge: k.Bridge, Foreign: k.Network == "", MAC: k.MAC.Hardware(), Addresses: k.Addresses})
		case Point:
			g.Links = append(g.Links, firewall.Link{Host: k.Host, MAC: k.MAC.Hardware(), Addresses: k.Addresses,
				Gateways: addresses(k.HostAddresses), NAT: len(k.Gateways)+len(k.Returns) > 0})
		}
	}
	for _, p := range l.Ports {
		g.Ports = append(g.Ports, firewall.Port(p))
	}
	for _, p := range l.AllowHost {
		g.Host = append(g.Host, firewall.HostPort(p))
	}
	return g
}

func addresses(prefixes []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for _, p := range prefixes {
		out = append(out, p.Addr())
	}
	return out
}

// Traffic is what went through one port of the host since its rules were made:
// In to the guest, Out of it.
type Traffic struct {
	Port    Port
	In, Out Count
}

// Count are packets, and their bytes with IP headers.
type Count struct{ Packets, Bytes uint64 }

// Traffic counts what went through the ports of a lease. Ranges are counted as
// one.
func (r Rules) Traffic(l Lease) ([]Traffic, error) {
	counters, err := firewall.Tables{Instance: r.Instance}.Counters()
	if err != nil {
		return nil, fmt.Errorf("counters of ports: %w", err)
	}
	var out []Traffic
	for _, p := range l.Ports {
		t := Traffic{Port: p}
		for _, c := range counters {
			if c.Protocol == p.Protocol && p.First <= c.Port && c.Port <= p.Last && slices.Contains(p.Guest, c.Guest) {
				count := &t.In
				if c.Answer {
					count = &t.Out
				}
				count.Packets += c.Packets
				count.Bytes += c.Bytes
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// LocalRoutes lets the host's own connections to 127.0.0.1 reach a guest over
// an interface of berth's, a bridge or a link. The rules that keep the guest
// from coming back that way are in place before.
func LocalRoutes(iface string) error {
	return os.WriteFile(filepath.Join("/proc/sys/net/ipv4/conf", iface, "route_localnet"), []byte("1"), 0)
}
