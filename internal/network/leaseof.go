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
	m.around()
	return m.lease.With(s)
}

// With is l with the ports, aliases, allowHost and ingress of a spec. The links
// are those that l has: of s, or of what differs from it in these keys only.
func (l Lease) With(s container.Spec) (Lease, error) {
	l.Aliases, l.AllowHost, l.Ingress, l.Ports = s.Aliases, s.AllowHost, s.Ingress, nil
	main := slices.DeleteFunc(slices.Clone(l.Links), func(k Link) bool {
		_, extra := s.ExtraVeths[k.Guest]
		return extra
	})
	for _, f := range s.ForwardPorts {
		p, err := port("forwardPorts", f, firsts(main...))
		if err != nil {
			return Lease{}, err
		}
		l.Ports = append(l.Ports, p)
	}
	for _, k := range l.Links {
		for _, f := range s.ExtraVeths[k.Guest].ForwardPorts {
			p, err := port("extraVeths."+k.Guest+".forwardPorts", f, firsts(k))
			if err != nil {
				return Lease{}, err
			}
			l.Ports = append(l.Ports, p)
		}
	}
	return l, nil
}

// maker makes one lease.
type maker struct {
	rec      *state.Record
	networks Networks
	lease    Lease
}

// firstTable and those that follow are tables of routes that nobody knows to use
// otherwise.
const firstTable = 7100

// add puts a link behind the others. It has default routes only in families in
// which none before it has one, or may get one by DHCP.
func (m *maker) add(l Link) {
	var first, later []netip.Addr
	for _, g := range l.Gateways {
		if slices.ContainsFunc(m.lease.Links, func(o Link) bool {
			return o.Kind == Bridged && o.DHCP || slices.ContainsFunc(o.Gateways, func(h netip.Addr) bool { return h.Is4() == g.Is4() })
		}) {
			later = append(later, g)
		} else {
			first = append(first, g)
		}
	}
	l.Gateways, l.Returns = first, later
	if len(later) > 0 {
		l.Table = firstTable + len(m.lease.Links)
	}
	m.lease.Links = append(m.lease.Links, l)
}

// around tells links with a default route what is on the others. The kernel would
// answer there with an address of the first link, which nobody takes from the guest.
func (m *maker) around() {
	for i := range m.lease.Links {
		k := &m.lease.Links[i]
		for _, o := range m.lease.Links {
			if o.Guest == k.Guest {
				continue
			}
			for _, p := range slices.Concat(o.Addresses, hosts(o.HostAddresses)) {
				led := slices.ContainsFunc(k.Gateways, func(g netip.Addr) bool { return g.Is4() == p.Addr().Is4() })
				if p = p.Masked(); led && !slices.Contains(k.Around, p) {
					k.Around = append(k.Around, p)
				}
			}
		}
		if len(k.Around) > 0 {
			k.Table = firstTable + i
		}
	}
}

// hosts are the prefixes of single addresses.
func hosts(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, single(p.Addr()))
	}
	return out
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

// firsts are the first addresses of links, at most one a family.
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

// port is a forward to the guest's addresses.
func port(key string, f container.ForwardPort, guest []netip.Addr) (Port, error) {
	p := Port{Protocol: f.Protocol, First: f.HostPort.First, Last: f.HostPort.Last, To: f.To()}
	if listen, err := netip.ParseAddr(f.HostAddress); err == nil {
		guest = ofFamily(guest, listen)
		if !listen.IsUnspecified() { // 0.0.0.0 and :: are all of one family
			p.Listen = listen
		}
	}
	if p.Guest = guest; len(guest) == 0 {
		return p, &container.Error{Err: fmt.Errorf("%s: %s port %v of %s: the guest has no address that could answer", key, f.Protocol, f.HostPort, cmp.Or(f.HostAddress, "the host")),
			Hint: "leave hostAddress out, or give the guest an address of the same family"}
	}
	return p, nil
}

func ofFamily(list []netip.Addr, like netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return a.Is4() != like.Is4() })
}

// Fits reports whether what was chosen for rec is still of its networks.
func Fits(rec state.Record, networks Networks) bool {
	for _, name := range rec.Spec.BerthNetworks() {
		n, ok := networks[name]
		kept := linkOf(rec, name, "")
		if !ok || kept.MAC == "" || len(kept.Addresses) != len(n.Gateways()) {
			return false
		}
		for _, g := range n.Gateways() {
			if !slices.ContainsFunc(kept.Addresses, func(a netip.Addr) bool { return inside(g.Masked(), a) }) {
				return false
			}
		}
	}
	for _, name := range otherLinks(rec.Spec) {
		if linkOf(rec, "", name).MAC == "" {
			return false
		}
	}
	return true
}

// Stale are the changes of networks since the lease was made that the guest
// gets by a restart only.
func (l Lease) Stale(networks Networks) []container.Change {
	var out []container.Change
	for _, k := range l.Links {
		n, ok := networks[k.Network]
		if !ok {
			continue
		}
		add := func(key, before, after string) {
			if before != after {
				out = append(out, container.Change{Key: "networks." + n.Name + "." + key, Old: before, New: after, Effect: container.EffectRestart})
			}
		}
		add("bridge", k.Bridge, n.Bridge)
		add("subnet", subnetOf(k.Addresses, true), subnetOf(n.Gateways(), true))
		add("subnet6", subnetOf(k.Addresses, false), subnetOf(n.Gateways(), false))
	}
	return out
}

// subnetOf is the subnet of the first of addresses in a family, or none.
func subnetOf(addresses []netip.Prefix, v4 bool) string {
	for _, p := range addresses {
		if p.Addr().Is4() == v4 {
			return p.Masked().String()
		}
	}
	return container.NoNetwork
}
