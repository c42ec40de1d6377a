package names

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/dhcp"
	"github.com/berth-containers/berth/internal/network/dns"
	"github.com/berth-containers/berth/internal/network/hosts"
	"github.com/berth-containers/berth/internal/network/loopback"
)

// table is all that has to be served, as leases and networks say.
type table struct {
	leases   []network.Lease
	networks map[string]network.Network // those with leases, by name
}

// needed reports whether a lease gives this process something to do.
func needed(l network.Lease) bool {
	for _, link := range l.Links {
		if link.Network != "" || len(link.Addresses) > 0 {
			return true
		}
	}
	return len(l.Ports) > 0
}

// place is where a guest is: on a network, or on none of berth's.
type place struct {
	network   string
	addresses []netip.Addr
}

func places(l network.Lease) []place {
	var out []place
	for _, link := range l.Links {
		p := place{network: link.Network}
		for _, a := range link.Addresses {
			p.addresses = append(p.addresses, a.Addr().Unmap())
		}
		if len(p.addresses) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// reach gives the addresses of a guest that others can use from places: those on
// the same networks, and else those that the host can lead to by the first
// place, unless one of both is isolated. The place "" is the host's own: it reaches
// all. One that is no network is not isolated.
func (t table) reach(l network.Lease, from []string) []netip.Addr {
	var same, others []netip.Addr
	for _, p := range places(l) {
		switch {
		case p.network != "" && slices.Contains(from, p.network):
			same = append(same, p.addresses...)
		case from[0] == "" || !t.networks[from[0]].Isolated && !t.networks[p.network].Isolated:
			others = append(others, p.addresses...)
		}
	}
	if len(same) > 0 {
		return same
	}
	return others
}

// hostsFor are the guests as they are seen from places, which are networks,
// onPoint, or the host's "".
func (t table) hostsFor(from ...string) []dns.Host {
	var out []dns.Host
	for _, l := range t.leases {
		if addresses := t.reach(l, from); l.Attached && len(addresses) > 0 {
			out = append(out, dns.Host{Names: namesOf(l.Name), Aliases: l.Aliases, Addresses: addresses})
		}
	}
	return out
}

// placesOf are where a guest sees others from: first where its default route
// leads.
func placesOf(l network.Lease) []string {
	var first, out []string
	for _, link := range l.Links {
		switch at := cmp.Or(link.Network, onPoint); {
		case len(link.Addresses) == 0 || slices.Contains(first, at) || slices.Contains(out, at):
		case len(link.Gateways) > 0:
			first = append(first, at)
		default:
			out = append(out, at)
		}
	}
	return append(first, out...)
}

// namesOf are a container's name, and its host name where that is another.
func namesOf(n container.Name) []string {
	return slices.Compact([]string{string(n), n.Hostname()})
}

// subnets are those of all networks: only this process knows who is there.
func (t table) subnets() []netip.Prefix {
	var out []netip.Prefix
	for _, n := range t.networks {
		out = append(out, subnetsOf(n)...)
	}
	return out
}

func subnetsOf(n network.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{n.Subnet, n.Subnet6} {
		if p.IsValid() {
			out = append(out, p.Masked())
		}
	}
	return out
}

// devices gives the index of an interface of the host, or 0.
type devices func(name string) int

// loopbackDevice is by which the host reaches its own addresses.
const loopbackDevice = "lo"

// endpoints are where names are served: at the host's addresses on each
// network, to the guests there and to the host itself.
func (t table) endpoints(index devices) map[dns.Endpoint]dns.Audience {
	out := map[dns.Endpoint]dns.Audience{}
	v := views{t, t.subnets(), map[string]*dns.View{}}
	own := v.from("")
	for _, n := range t.networks {
		bridge := index(n.Bridge)
		if bridge == 0 {
			continue // not made yet
		}
		a := dns.Audience{Clients: subnetsOf(n), View: v.from(n.Name), Host: own, Guests: v.elsewhere(n.Name)}
		for _, g := range n.Gateways() {
			out[dns.Endpoint{Address: g.Addr(), Device: n.Bridge, Index: bridge}] = a
			out[dns.Endpoint{Address: g.Addr(), Device: loopbackDevice, Index: 1}] = dns.Audience{Host: own}
		}
	}
	v.pointEndpoints(out, own, index)
	return out
}

// views are what a table looks like from places, each made once.
type views struct {
	table
	subnets []netip.Prefix
	made    map[string]*dns.View
}

func (v views) from(places ...string) *dns.View {
	key := strings.Join(places, "\x01")
	if v.made[key] == nil {
		v.made[key] = dns.NewView(v.hostsFor(places...), v.subnets)
	}
	return v.made[key]
}

// elsewhere is what those on a network see who are in other places too, where one
// of these is isolated: each by itself shows a part only.
func (v views) elsewhere(name string) map[netip.Addr]*dns.View {
	out := map[netip.Addr]*dns.View{}
	for _, l := range v.leases {
		places := placesOf(l)
		if len(places) < 2 || !slices.ContainsFunc(places, func(p string) bool { return v.networks[p].Isolated }) {
			continue
		}
		for _, link := range l.Links {
			for _, a := range link.Addresses {
				if link.Network == name {
					out[a.Addr().Unmap()] = v.from(places...)
				}
			}
		}
	}
	return out
}

// onPoint is where guests are whose link is to the host alone. No network has
// such a name.
const onPoint = "\x00point"

// pointEndpoints adds the host's addresses on links to one guest alone.
func (v views) pointEndpoints(out map[dns.Endpoint]dns.Audience, own *dns.View, index devices) {
	for _, l := range v.leases {
		for _, link := range l.Links {
			if link.Kind != network.Point || len(link.HostAddresses) == 0 || len(link.Addresses) == 0 {
				continue
			}
			veth := index(link.Host)
			if veth == 0 {
				continue // not made yet
			}
			a := dns.Audience{View: v.from(placesOf(l)...), Host: own}
			for _, p := range link.Addresses {
				a.Clients = append(a.Clients, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
			}
			for _, g := range link.HostAddresses {
				out[dns.Endpoint{Address: g.Addr(), Device: link.Host, Index: veth}] = a
			}
		}
	}
}

// dhcpNetworks are those that give addresses by DHCP.
func (t table) dhcpNetworks(index devices) []dhcp.Network {
	var out []dhcp.Network
	for _, n := range t.networks {
		bridge := index(n.Bridge)
		if !n.DHCP || !n.Subnet.IsValid() || bridge == 0 {
			continue
		}
		served := dhcp.Network{Device: n.Bridge, Index: bridge, Server: n.Subnet.Masked().Addr().Next(), Clients: map[string]dhcp.Client{}}
		for _, l := range t.leases {
			for _, link := range l.Links {
				if mac := link.MAC.Hardware(); link.Network == n.Name && mac != nil {
					if c, ok := clientOf(l, link, n); ok {
						served.Clients[mac.String()] = c
					}
				}
			}
		}
		out = append(out, served)
	}
	return out
}

// clientOf is what a guest is told on a link, unless it has no IPv4 address.
func clientOf(l network.Lease, link network.Link, n network.Network) (dhcp.Client, bool) {
	c := dhcp.Client{Name: l.Name.Hostname(), Resolvers: link.Resolvers, Domain: strings.TrimSuffix(dns.Domain, ".")}
	for _, g := range link.Gateways {
		if g.Is4() {
			c.Gateway = g
		}
	}
	for _, a := range link.Addresses {
		if a.Addr().Is4() {
			c.Address = netip.PrefixFrom(a.Addr(), n.Subnet.Bits())
			return c, true
		}
	}
	return c, false
}

// forwards are the ports of the host's own addresses that the kernel cannot lead
// to guests: those of [::1], and those of 127.0.0.1 whose guests are on bridges
// that are not berth's.
func (t table) forwards() []loopback.Forward {
	var out []loopback.Forward
	for _, l := range t.leases {
		for _, p := range l.Ports {
			f := loopback.Forward{Protocol: p.Protocol, First: p.First, Last: p.Last, To: p.To, Name: string(l.Name)}
			if guest := preferred(p.Guest); len(guest) > 0 && listens(p, netip.IPv6Loopback()) {
				f.Address, f.Guest = netip.IPv6Loopback(), guest
				out = append(out, f)
			}
			at := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			if p.Listen.IsLoopback() && p.Listen.Is4() {
				at = p.Listen
			}
			if i := slices.IndexFunc(p.Guest, netip.Addr.Is4); i >= 0 && foreign(l, p.Guest[i]) && listens(p, at) {
				f.Address, f.Guest = at, p.Guest[i:i+1]
				out = append(out, f)
			}
		}
	}
	return out
}

// listens reports whether a port answers at an address of the host.
func listens(p network.Port, at netip.Addr) bool {
	return !p.Listen.IsValid() || p.Listen == at || p.Listen.IsUnspecified() && p.Listen.Is4() == at.Is4()
}

// foreign reports whether a guest has an address on a bridge that is not
// berth's.
func foreign(l network.Lease, a netip.Addr) bool {
	return slices.ContainsFunc(l.Links, func(k network.Link) bool {
		return k.Kind == network.Bridged && k.Network == "" && slices.ContainsFunc(k.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// preferred are addresses with those of IPv6 first.
func preferred(addresses []netip.Addr) []netip.Addr {
	return slices.SortedStableFunc(slices.Values(addresses), func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() })
}

// links are by which the host asks for names.
func (t table) links(index devices) []hosts.Link {
	var out []hosts.Link
	for _, n := range t.networks {
		bridge := index(n.Bridge)
		if bridge == 0 {
			continue
		}
		l := hosts.Link{Index: bridge, Domains: append([]string{strings.TrimSuffix(dns.Domain, ".")}, reverseZones(n)...)}
		for _, g := range n.Gateways() {
			l.Servers = append(l.Servers, g.Addr())
		}
		out = append(out, l)
	}
	return out
}

// reverseZones are those of a network's addresses.
func reverseZones(n network.Network) []string {
	var out []string
	for _, p := range subnetsOf(n) {
		out = append(out, dns.ReverseZone(p))
	}
	return out
}

// entries are the lines for the host's own file: an address for each guest and
// family is enough, since the host reaches them all.
func (t table) entries() []hosts.Entry {
	var out []hosts.Entry
	for _, h := range t.hostsFor("") {
		var names []string
		for _, n := range append(slices.Clone(h.Names), h.Aliases...) {
			if strings.ContainsAny(n, " \t\r\n#") || n == "" {
				continue
			}
			names = append(names, strings.TrimSuffix(strings.ToLower(n), ".")+"."+strings.TrimSuffix(dns.Domain, "."))
		}
		for _, a := range h.Addresses {
			if !a.IsLinkLocalUnicast() {
				out = append(out, hosts.Entry{Address: a.WithZone(""), Names: names})
			}
		}
	}
	slices.SortFunc(out, func(a, b hosts.Entry) int {
		return cmp.Or(slices.Compare(a.Names, b.Names), a.Address.Compare(b.Address))
	})
	return out
}
