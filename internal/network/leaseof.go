package network

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// LeaseOf is what a container has of the network, by its record and the
// networks as they are now. It looks at nothing else. The guest's interfaces
// come in this order: eth0 and those that follow (container.Spec.EthernetNames),
// extraVeths by name, macvlans, interfaces. The first of them that leads
// somewhere has the default route, in each family. A lease without links is
// that of a guest which has the host's network, that of another namespace, or
// none.
func LeaseOf(paths state.Paths, rec *state.Record, networks Networks) (Lease, error) {
	m := maker{rec: rec, networks: networks, lease: Lease{Name: rec.Name, Machine: paths.Machine(rec.Name)}}
	s := rec.Spec
	if !s.PrivateNetwork {
		return m.lease, nil
	}
	if s.HostBridge != "" || s.Opposite() {
		m.pair("eth0", "", container.ExtraVeth{HostBridge: s.HostBridge, HostAddress: s.HostAddress, LocalAddress: s.LocalAddress,
			HostAddress6: s.HostAddress6, LocalAddress6: s.LocalAddress6})
	}
	for _, name := range s.BerthNetworks() {
		if err := m.network(name); err != nil {
			return Lease{}, err
		}
	}
	if len(m.lease.Links) > 0 && s.LocalMacAddress != "" {
		m.lease.Links[0].MAC = MAC(s.LocalMacAddress)
	}
	first := m.addresses()
	for _, name := range slices.Sorted(maps.Keys(s.ExtraVeths)) {
		m.pair(name, name, s.ExtraVeths[name])
	}
	for _, host := range s.Macvlans {
		name, _ := shortened("mv-" + host)
		m.add(Link{Kind: Macvlan, Host: host, Guest: name, MAC: m.mac(name)})
	}
	for _, host := range s.Interfaces {
		m.add(Link{Kind: Moved, Host: host, Guest: host})
	}
	m.lease.Aliases, m.lease.AllowHost, m.lease.Ingress = s.Aliases, s.AllowHost, s.Ingress
	return m.lease, m.forwards(first)
}

// maker makes one lease.
type maker struct {
	rec      *state.Record
	networks Networks
	lease    Lease
}

// add puts a link behind the others. It has default routes only in families in
// which none before it has one, or may get one by DHCP.
func (m *maker) add(l Link) {
	l.Gateways = slices.DeleteFunc(l.Gateways, func(g netip.Addr) bool {
		return slices.ContainsFunc(m.lease.Links, func(o Link) bool {
			return o.Kind == Bridged && o.DHCP || slices.ContainsFunc(o.Gateways, func(h netip.Addr) bool { return h.Is4() == g.Is4() })
		})
	})
	m.lease.Links = append(m.lease.Links, l)
}

// network puts the guest on a network of berth's.
func (m *maker) network(name string) error {
	n, ok := m.networks[name]
	if !ok {
		return noNetwork(name, m.networks)
	}
	kept := linkOf(*m.rec, name, "")
	i := len(m.lease.Links)
	l := Link{Kind: Bridged, Guest: fmt.Sprintf("eth%d", i), MAC: MAC(kept.MAC), Bridge: n.Bridge, Network: name}
	l.Host, l.FullName = hostSide(m.lease.Machine, i)
	for _, host := range n.Gateways() {
		at := slices.IndexFunc(kept.Addresses, host.Contains)
		if at < 0 {
			return fmt.Errorf("no address of the network %s, %v, has been chosen for %s", name, host.Masked(), m.rec.Name)
		}
		l.Addresses = append(l.Addresses, netip.PrefixFrom(kept.Addresses[at], host.Bits()))
		l.Gateways = append(l.Gateways, host.Addr())
		l.Resolvers = append(l.Resolvers, host.Addr())
	}
	m.add(l)
	return nil
}

// pair makes a virtual Ethernet pair as the keys of a spec say, with its host
// side called host, or after the machine.
func (m *maker) pair(guest, host string, v container.ExtraVeth) {
	l := Link{Kind: Point, Host: host, Guest: guest, MAC: m.mac(guest)}
	if v.LocalMacAddress != "" {
		l.MAC = MAC(v.LocalMacAddress)
	}
	if host == "" {
		l.Host, l.FullName = hostSide(m.lease.Machine, len(m.lease.Links))
	}
	for _, ends := range [][2]string{{v.HostAddress, v.LocalAddress}, {v.HostAddress6, v.LocalAddress6}} {
		if p, ok := parsePrefix(ends[1]); ok {
			l.Addresses = append(l.Addresses, p)
		}
		if p, ok := parsePrefix(ends[0]); ok {
			l.HostAddresses = append(l.HostAddresses, p)
			l.Gateways = append(l.Gateways, p.Addr())
		}
	}
	if v.HostBridge != "" {
		l.Kind, l.Bridge, l.HostAddresses = Bridged, v.HostBridge, nil // the host's address there is not ours to set
		l.DHCP = len(l.Addresses) == 0
	} else {
		l.Resolvers = slices.Clone(l.Gateways)
	}
	m.add(l)
}

// mac is what was chosen for an interface that is on no network of berth's.
func (m *maker) mac(name string) MAC { return MAC(linkOf(*m.rec, "", name).MAC) }

// addresses are the first of the guest so far, at most one a family.
func (m *maker) addresses() []netip.Addr { return firsts(m.lease.Links...) }

func firsts(links ...Link) []netip.Addr {
	var out []netip.Addr
	for _, l := range links {
		for _, p := range l.Addresses {
			if !slices.ContainsFunc(out, func(a netip.Addr) bool { return a.Is4() == p.Addr().Is4() }) {
				out = append(out, p.Addr())
			}
		}
	}
	return out
}

// forwards gives the ports to the guest's first addresses, and those of
// extraVeths to their own.
func (m *maker) forwards(first []netip.Addr) error {
	for _, f := range m.rec.Spec.ForwardPorts {
		if err := m.forward("forwardPorts", f, first); err != nil {
			return err
		}
	}
	for _, l := range m.lease.Links {
		for _, f := range m.rec.Spec.ExtraVeths[l.Guest].ForwardPorts {
			if err := m.forward("extraVeths."+l.Guest+".forwardPorts", f, firsts(l)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maker) forward(key string, f container.ForwardPort, guest []netip.Addr) error {
	p := Port{Protocol: f.Protocol, First: f.HostPort.First, Last: f.HostPort.Last, To: f.To()}
	if listen, err := netip.ParseAddr(f.HostAddress); err == nil {
		guest = ofFamily(guest, listen)
		if !listen.IsUnspecified() { // 0.0.0.0 and :: are all of one family
			p.Listen = listen
		}
	}
	p.Guest = guest
	if len(guest) == 0 {
		return &container.Error{Err: fmt.Errorf("%s: %s port %v of %s: the guest has no address that could answer", key, f.Protocol, f.HostPort, cmp.Or(f.HostAddress, "the host")),
			Hint: "leave hostAddress out, or give the guest an address of the same family"}
	}
	m.lease.Ports = append(m.lease.Ports, p)
	return nil
}

func ofFamily(list []netip.Addr, like netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return a.Is4() != like.Is4() })
}
