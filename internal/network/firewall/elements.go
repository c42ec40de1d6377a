package firewall

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// place is a set by its table and name.
type place struct {
	family nftables.TableFamily
	set    string
}

// element is one of a set, as strings so that elements compare.
type element struct {
	place
	key, end, value string // end is that of an interval, value that of a map
}

// elements are what r is in the tables, each once, in a fixed order.
func (r Rules) elements() ([]element, error) {
	var b builder
	for _, n := range r.Networks {
		b.network(n)
	}
	for _, g := range r.Guests {
		b.guest(g)
	}
	slices.SortFunc(b.out, compare)
	out := slices.Compact(b.out)
	for i := range out[:max(0, len(out)-1)] {
		if e, next := out[i], out[i+1]; e.place == next.place && e.key == next.key && e.value != next.value {
			b.err = cmp.Or(b.err, fmt.Errorf("%s is taken by another guest", e.port()))
		}
	}
	return out, b.err
}

// port is the port of the host that an element of a map is about, in words.
func (e element) port() string {
	proto := "tcp"
	if e.key[len(e.key)-8] == unix.IPPROTO_UDP {
		proto = "udp"
	}
	return fmt.Sprintf("%s port %d", proto, binary.BigEndian.Uint16([]byte(e.key[len(e.key)-4:])))
}

func compare(x, y element) int {
	return cmp.Or(cmp.Compare(x.family, y.family), cmp.Compare(x.set, y.set), cmp.Compare(x.key, y.key),
		cmp.Compare(x.end, y.end), cmp.Compare(x.value, y.value))
}

// builder collects elements. The parts of keys are padded to four bytes, as in
// registers.
type builder struct {
	out []element
	err error
}

func (b *builder) add(f nftables.TableFamily, set string, parts ...[]byte) {
	b.out = append(b.out, element{place: place{f, set}, key: join(parts...)})
}

func join(parts ...[]byte) string {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
		out = append(out, make([]byte, -len(p)&3)...)
	}
	return string(out)
}

// name is that of an interface, as long as the kernel has it.
func (b *builder) name(s string) []byte {
	if s == "" || len(s) >= unix.IFNAMSIZ {
		b.err = cmp.Or(b.err, fmt.Errorf("%q is no name of an interface", s))
		return nil
	}
	return append([]byte(s), make([]byte, unix.IFNAMSIZ-len(s))...)
}

// protocols are those of a port.
func (b *builder) protocols(name string) []byte {
	switch name {
	case "tcp":
		return []byte{unix.IPPROTO_TCP}
	case "udp":
		return []byte{unix.IPPROTO_UDP}
	case "":
		return []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP}
	}
	b.err = cmp.Or(b.err, fmt.Errorf("%q is neither tcp nor udp", name))
	return nil
}

// by is the name of the one of two sets that is for a's family.
func by(a netip.Addr, set string) string {
	if a.Is4() {
		return set + "4"
	}
	return set + "6"
}

func (b *builder) network(n Network) {
	b.own(n.Bridge, n.Gateways, n.NAT)
	b.add(inet, "bridges", b.name(n.Bridge))
	if n.Isolated {
		b.add(inet, "isolated", b.name(n.Bridge))
	}
	if n.DHCP {
		b.add(inet, "dhcp", b.name(n.Bridge))
	}
}

// own is for an interface of berth's, a bridge or a link.
func (b *builder) own(iface string, gateways []netip.Addr, nat bool) {
	name := b.name(iface)
	b.add(inet, "ours", name)
	b.add(inet, "same", name, name)
	for _, a := range gateways {
		b.add(inet, by(a, "dns"), name, a.AsSlice())
	}
	if nat {
		b.add(inet, "nat", name)
	}
}

func (b *builder) guest(g Guest) {
	for _, l := range g.Links {
		b.add(inet, links, b.name(cmp.Or(l.Bridge, l.Host)), b.name(l.Host))
		if l.Bridge == "" {
			b.point(l)
		} else {
			b.port(l)
		}
		for _, a := range l.Addresses {
			b.near(l, a)
		}
		b.host(l, g.Host)
	}
	for _, p := range g.Ports {
		b.forward(g, p)
	}
}

// point is a link without bridge: what comes from it has the guest's addresses.
// One that berth gave no address is somebody else's to configure, and leads to
// none of berth's networks.
func (b *builder) point(l Link) {
	b.own(l.Host, l.Gateways, l.NAT)
	name := b.name(l.Host)
	if len(l.Addresses) == 0 {
		b.add(inet, "isolated", name)
		return
	}
	b.add(inet, "points", name)
	for _, a := range l.sources() {
		b.add(inet, by(a, "source"), name, a.AsSlice())
	}
}

// port is the port of a bridge.
func (b *builder) port(l Link) {
	name := b.name(l.Host)
	if len(l.MAC) != 6 {
		b.err = cmp.Or(b.err, fmt.Errorf("the link %s has no MAC address to hold its guest to", l.Host))
	}
	b.add(inet, "points", name)
	b.add(bridge, "ports", name)
	b.add(bridge, "loop", name, name)
	b.add(bridge, "macs", name, l.MAC)
	b.add(inet, "macs", b.name(l.Bridge), l.MAC)
	for _, a := range l.sources() {
		b.add(bridge, by(a, "source"), name, l.MAC, a.AsSlice())
	}
	if !l.Foreign {
		return
	}
	b.add(bridge, "foreign", name)
	if !l.has(netip.Addr.Is4) {
		b.add(bridge, "free", name, port(unix.ETH_P_IP))
		b.add(bridge, "free", name, port(unix.ETH_P_ARP))
	}
	if !l.has(netip.Addr.Is6) {
		b.add(bridge, "free", name, port(unix.ETH_P_IPV6))
	}
	if len(l.Addresses) == 0 {
		b.add(bridge, "free", name, port(unix.ETH_P_8021Q))
		b.add(bridge, "free", name, port(unix.ETH_P_8021AD))
	}
}

func (l Link) has(family func(netip.Addr) bool) bool {
	return slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return family(p.Addr()) })
}

// sources are the addresses that the guest may send from: its own, and the one
// of the link that its kernel makes of the MAC address.
func (l Link) sources() []netip.Addr {
	var out []netip.Addr
	for _, p := range l.Addresses {
		out = append(out, p.Addr())
	}
	if m := l.MAC; len(m) == 6 {
		out = append(out, netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}))
	}
	return out
}

// near is who reaches the guest's address directly.
func (b *builder) near(l Link, p netip.Prefix) {
	guest := p.Addr().AsSlice()
	if l.Foreign {
		b.interval(by(p.Addr(), "lan"), join(p.Masked().Addr().AsSlice(), guest), join(last(p).AsSlice(), guest))
	} else {
		b.add(inet, by(p.Addr(), "near"), b.name(cmp.Or(l.Bridge, l.Host)), guest)
	}
}

func (b *builder) interval(set, from, to string) {
	b.out = append(b.out, element{place: place{inet, set}, key: from, end: to})
}

// last is the last address of p.
func last(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(a)*8; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	out, _ := netip.AddrFromSlice(a)
	return out
}

// The longest range of ports of the host whose ports are elements each.
const longest = 64

// host lets the guest use ports of the host from each of its addresses. The
// kernel takes no intervals that overlap.
func (b *builder) host(l Link, ports []HostPort) {
	for _, name := range []string{"tcp", "udp"} {
		proto := b.protocols(name)
		for _, p := range merged(ports, name) {
			for _, a := range l.sources() {
				from := a.AsSlice()
				if p.Last-p.First >= longest {
					b.interval(by(a, "range"), join(from, proto, port(p.First)), join(from, proto, port(p.Last)))
					continue
				}
				for n := int(p.First); n <= int(p.Last); n++ {
					b.add(inet, by(a, "host"), from, proto, port(uint16(n)))
				}
			}
		}
	}
}

// merged are the ports of one protocol, in ranges that do not touch.
func merged(ports []HostPort, protocol string) []HostPort {
	var out []HostPort
	for _, p := range ports {
		switch p.Protocol {
		case "":
			return []HostPort{{protocol, 1, 1<<16 - 1}}
		case protocol:
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b HostPort) int { return cmp.Compare(a.First, b.First) })
	n := 0
	for _, p := range out {
		if n > 0 && int(p.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, p.Last)
			continue
		}
		out[n] = p
		n++
	}
	return out[:n]
}

// at is the link of the guest that has an address; the zero Link if none has.
func (g Guest) at(a netip.Addr) Link {
	for _, l := range g.Links {
		if slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return l
		}
	}
	return Link{}
}

// forward leads a port of the host to the guest, and counts. What comes from
// the host's own 127.0.0.0/8 is left to a proxy where the kernel cannot lead it.
func (b *builder) forward(g Guest, p Port) {
	if p.Last < p.First || int(p.To)+int(p.Last-p.First) > 1<<16-1 {
		b.err = cmp.Or(b.err, fmt.Errorf("ports %d to %d cannot become those from %d on", p.First, p.Last, p.To))
		return
	}
	for _, proto := range b.protocols(p.Protocol) {
		for _, a := range p.Guest {
			l := g.at(a)
			proxied := a.Is4() && l.Foreign
			if p.Listen.IsValid() && p.Listen.Is4() != a.Is4() || proxied && p.Listen.IsLoopback() {
				continue
			}
			b.forwardTo(a, []byte{proto}, p)
			b.apart(l, a, []byte{proto}, p)
			for n := int(p.First); proxied && n <= int(p.Last); n++ {
				b.add(inet, "proxied", []byte{proto}, port(uint16(n)))
			}
		}
	}
}

// apart keeps ports from those who do not reach the guest's link otherwise.
func (b *builder) apart(l Link, a netip.Addr, proto []byte, p Port) {
	at := make([]byte, a.BitLen()/8)
	if !p.everywhere() {
		at = p.Listen.AsSlice()
	}
	for n := int(p.First); n <= int(p.Last); n++ {
		switch key := port(uint16(n)); {
		case l.Foreign:
			b.add(inet, by(a, "outer"), at, proto, key)
		case l.Isolated:
			b.add(inet, by(a, "own"), b.name(l.Bridge), at, proto, key)
			b.add(inet, by(a, "shut"), at, proto, key)
		}
	}
}

// everywhere reports whether the port is one of all addresses of the host.
func (p Port) everywhere() bool { return !p.Listen.IsValid() || p.Listen.IsUnspecified() }

func (b *builder) forwardTo(a netip.Addr, proto []byte, p Port) {
	set, listen := "all", []byte(nil)
	if !p.everywhere() {
		set, listen = "one", p.Listen.AsSlice()
	}
	guest := a.AsSlice()
	for i := 0; i <= int(p.Last-p.First); i++ {
		from, to := port(p.First+uint16(i)), port(p.To+uint16(i))
		b.out = append(b.out, element{place: place{inet, by(a, set)}, key: join(listen, proto, from), value: join(guest, to)})
		for direction := range byte(2) {
			b.add(inet, by(a, "count"), []byte{direction}, proto, from, guest)
		}
	}
}
