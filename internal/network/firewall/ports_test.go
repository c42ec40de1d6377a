package firewall

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestPorts is every way to a port of the host: from everywhere, over both
// kinds of links, with both families and protocols, and whether or not what
// passes a bridge passes netfilter.
func TestPorts(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+filter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, filter)
			w.update(Rules{}, w.now)
			for i, name := range []string{"b", "p"} {
				g := w.all[name]
				for _, proto := range []string{"tcp", "udp"} {
					g.serve(proto, "", 80)
				}
				w.guest(name, func(g *Guest) { g.Ports = portsOf(name, uint16(8000+i*10)) })
			}
			for family := range 2 {
				for _, proto := range []string{"tcp", "udp"} {
					t.Run(fmt.Sprintf("IPv%d %s", 4+2*family, proto), func(t *testing.T) { w.testPorts(t, family, proto) })
				}
			}
		})
	}
}

// portsOf leads three ports of the host, from first on, to ports 79 to 81.
func portsOf(name string, first uint16) []Port {
	var out []Port
	for _, proto := range []string{"tcp", "udp"} {
		out = append(out, Port{Protocol: proto, First: first, Last: first + 2, To: 79, Guest: []netip.Addr{address(name, 0), address(name, 1)}})
	}
	return out
}

func (w *world) testPorts(t *testing.T, family int, proto string) {
	eth0, eth1 := gateway("eth0", family), gateway("eth1", family)
	at := func(name string) string { return address(name, family).String() }
	for _, c := range []struct {
		server  string
		iface   string
		port    int
		fromOwn string // as whom b's neighbour a is seen
	}{
		{"b", "berth0", 8001, gateway("berth0", family)},
		{"p", "ve-p", 8011, at("a")},
	} {
		host := gateway(c.iface, family)
		w.all["near"].reaches(t, proto, eth0, c.port, at("near"))
		w.all["near"].reaches(t, proto, eth1, c.port, at("near"))
		w.all["far"].reaches(t, proto, eth1, c.port, at("far"))
		w.all["c"].reaches(t, proto, gateway("br0", family), c.port, at("c"))
		w.host.reaches(t, proto, eth0, c.port, eth0)
		w.host.reaches(t, proto, host, c.port, host)
		if family == 0 {
			w.host.reaches(t, proto, "127.0.0.1", c.port, host)
			w.host.reaches(t, proto, "127.1.2.3", c.port, host)
		}
		w.all["a"].reaches(t, proto, eth0, c.port, c.fromOwn)
		w.all["a"].reaches(t, proto, gateway("berth0", family), c.port, c.fromOwn)
		w.all["q"].reaches(t, proto, eth0, c.port, at("q"))
		w.all["r"].reaches(t, proto, eth0, c.port, at("r"))
		w.all[c.server].reaches(t, proto, eth0, c.port, host)
		w.all[c.server].reaches(t, proto, host, c.port, host)
		w.all["i"].refused(t, proto, eth0, c.port)
		// The port beside it is of the same guest, where nobody listens.
		w.all["near"].refused(t, proto, eth0, c.port+1)
	}
}
