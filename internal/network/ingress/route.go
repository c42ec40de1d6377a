package ingress

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
)

// route is one name, and who answers it.
type route struct {
	container.Ingress
	*backend
}

// table are the routes of all containers. It does not change.
type table struct {
	routes []*route
	exact  map[string]*route
	wild   map[string]*route // *.example.com as .example.com
}

// newTable makes the routes of leases. It takes the backends of old that are
// still right, with their connections. Where two containers claim a name, the
// first in the alphabet has it, and the other is in clashes, for people.
func newTable(leases []network.Lease, old *table, changed func()) (t *table, clashes []string) {
	t = &table{exact: map[string]*route{}, wild: map[string]*route{}}
	leases = slices.SortedFunc(slices.Values(leases), func(a, b network.Lease) int { return cmp.Compare(a.Name, b.Name) })
	for _, l := range leases {
		addrs := reachable(l)
		for _, in := range l.Ingress {
			into, key := t.exact, in.Host
			if suffix, ok := strings.CutPrefix(in.Host, "*"); ok {
				into, key = t.wild, suffix
			}
			if other := into[key]; other != nil {
				clashes = append(clashes, fmt.Sprintf("%s is claimed by %s and by %s, which does not get it", in.Host, other.name, l.Name))
				continue
			}
			b := t.backend(l.Name, in.Port, addrs)
			if b == nil {
				b = old.backend(l.Name, in.Port, addrs)
			}
			if b == nil {
				b = newBackend(l.Name, in.Port, addrs, changed)
			}
			r := &route{in, b}
			into[key] = r
			t.routes = append(t.routes, r)
		}
	}
	return t, clashes
}

// backend is the one that t has for a port of a container; nil if it has none.
func (t *table) backend(n container.Name, port uint16, addrs []netip.Addr) *backend {
	if t == nil {
		return nil
	}
	for _, r := range t.routes {
		if r.name == n && r.port == port && slices.Equal(r.addrs, addrs) {
			return r.backend
		}
	}
	return nil
}

// find is the route for a name; nil if nobody has it. A name of its own comes
// before one with a star, which stands for one label.
func (t *table) find(host string) *route {
	if r := t.exact[host]; r != nil {
		return r
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 {
		return t.wild[host[dot:]]
	}
	return nil
}

// hosts are the names whose certificates come from where kind says.
func (t *table) hosts(kind container.TLS) []string {
	var out []string
	for _, r := range t.routes {
		if r.TLS == kind {
			out = append(out, r.Host)
		}
	}
	return out
}

// closeUnused closes the idle connections to backends that next has no more.
func (t *table) closeUnused(next *table) {
	for _, r := range t.routes {
		if next.backend(r.name, r.port, r.addrs) != r.backend {
			r.transport.CloseIdleConnections()
		}
	}
}

// hostName is the name in a Host header: without a port and the last dot, in
// small letters.
func hostName(header string) string {
	host := header
	if i := strings.LastIndexByte(header, ':'); i >= 0 {
		host = header[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// reachable are the addresses of a guest that the host reaches, IPv4 first. On
// a macvlan, host and guest do not see each other.
func reachable(l network.Lease) []netip.Addr {
	var out []netip.Addr
	for _, link := range l.Links {
		if link.Kind != network.Bridged && link.Kind != network.Point {
			continue
		}
		for _, p := range link.Addresses {
			if !p.Addr().IsLinkLocalUnicast() {
				out = append(out, p.Addr())
			}
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	return out
}
