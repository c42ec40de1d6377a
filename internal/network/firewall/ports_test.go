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
			for i, name := range []string{"b", "p", "f", "i"} {
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

// at has ports answer on the host's addresses of an interface only.
func at(iface string, ports []Port) []Port {
	var out []Port
	for family := range 2 {
		for _, p := range ports {
			p.Listen = netip.MustParseAddr(gateway(iface, family))
			out = append(out, p)
		}
	}
	return out
}

func (w *world) testPorts(t *testing.T, family int, proto string) {
	eth0, eth1 := gateway("eth0", family), gateway("eth1", family)
	at := func(name string) string { return address(name, family).String() }
	for _, c := range []struct {
		server string
		iface  string
		port   int
		a, q   string // as whom they are seen
	}{
		{"b", "berth0", 8001, gateway("berth0", family), at("q")},
		{"p", "ve-p", 8011, at("a"), at("q")},
		{"f", "br0", 8021, gateway("br0", family), gateway("br0", family)}, // outside of their networks
	} {
		host := gateway(c.iface, family)
		w.all["near"].reaches(t, proto, eth0, c.port, at("near"))
		w.all["near"].reaches(t, proto, eth1, c.port, at("near"))
		w.all["far"].reaches(t, proto, eth1, c.port, at("far"))
		if c.server == "f" { // on one bridge with it
			w.all["c"].reaches(t, proto, host, c.port, host)
		} else {
			w.all["c"].reaches(t, proto, gateway("br0", family), c.port, at("c"))
		}
		w.host.reaches(t, proto, eth0, c.port, eth0)
		w.host.reaches(t, proto, host, c.port, host)
		if family == 0 && c.server != "f" {
			w.host.reaches(t, proto, "127.0.0.1", c.port, host)
			w.host.reaches(t, proto, "127.1.2.3", c.port, host)
		}
		w.all["a"].reaches(t, proto, eth0, c.port, c.a)
		w.all["a"].reaches(t, proto, gateway("berth0", family), c.port, c.a)
		w.all["q"].reaches(t, proto, eth0, c.port, c.q)
		w.all["r"].reaches(t, proto, eth0, c.port, at("r"))
		w.all[c.server].reaches(t, proto, eth0, c.port, host)
		w.all[c.server].reaches(t, proto, host, c.port, host)
		if c.server != "f" { // which is no network of berth's
			w.all["i"].refused(t, proto, eth0, c.port)
		}
		// The port beside it is of the same guest, where nobody listens.
		w.all["near"].refused(t, proto, eth0, c.port+1)
	}
	// That of an isolated guest is the world's and its own.
	w.all["near"].reaches(t, proto, eth0, 8031, at("near"))
	w.host.reaches(t, proto, eth0, 8031, eth0)
	w.all["i"].reaches(t, proto, eth0, 8031, gateway("berth1", family))
	w.all["f"].reaches(t, proto, gateway("br0", family), 8031, at("f"))
	for _, name := range []string{"a", "r", "p"} {
		w.all[name].refused(t, proto, eth0, 8031)
	}
}

// TestListen has ports answer on one address only, and port 53 not taken from
// the host's own DNS.
func TestListen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "1")
	w.update(Rules{}, w.now)
	b := w.all["b"]
	for _, proto := range []string{"tcp", "udp"} {
		b.serve(proto, "", 80)
	}
	for family := range 2 {
		w.host.serve("udp", gateway("berth0", family), 53)
	}
	w.guest("b", func(g *Guest) {
		for i, address := range []string{"127.0.0.1", gateway("eth0", 0), gateway("eth0", 1), "0.0.0.0", "::"} {
			for _, proto := range []string{"tcp", "udp"} {
				port := uint16(9000 + i)
				g.Ports = append(g.Ports, Port{Protocol: proto, First: port, Last: port, To: 80, Listen: netip.MustParseAddr(address), Guest: portsOf("b", 1)[0].Guest})
			}
		}
		g.Ports = append(g.Ports, Port{Protocol: "udp", First: 53, Last: 53, To: 80, Guest: portsOf("b", 1)[0].Guest})
	})
	near, a := w.all["near"], w.all["a"]
	for _, proto := range []string{"tcp", "udp"} {
		four, six := address("near", 0).String(), address("near", 1).String()
		w.host.reaches(t, proto, "127.0.0.1", 9000, gateway("berth0", 0))
		near.refused(t, proto, gateway("eth0", 0), 9000)
		w.host.refused(t, proto, gateway("eth0", 0), 9000)
		near.reaches(t, proto, gateway("eth0", 0), 9001, four)
		near.refused(t, proto, gateway("eth1", 0), 9001)
		near.refused(t, proto, gateway("eth0", 1), 9001)
		near.reaches(t, proto, gateway("eth0", 1), 9002, six)
		near.refused(t, proto, gateway("eth1", 1), 9002)
		near.reaches(t, proto, gateway("eth1", 0), 9003, four)
		near.refused(t, proto, gateway("eth1", 1), 9003)
		near.reaches(t, proto, gateway("eth1", 1), 9004, six)
		near.refused(t, proto, gateway("eth1", 0), 9004)
	}
	for family := range 2 {
		a.reaches(t, "udp", gateway("berth0", family), 53, address("a", family).String())
		near.reaches(t, "udp", gateway("eth0", family), 53, address("near", family).String())
		// What a proxy on ::1 is for is not taken from it.
		w.host.serve("tcp", "::1", 9100+family)
	}
	w.guest("b", func(g *Guest) {
		g.Ports = append(g.Ports, Port{Protocol: "tcp", First: 9100, Last: 9101, To: 80, Guest: portsOf("b", 1)[0].Guest})
	})
	w.host.reaches(t, "tcp", "::1", 9100, "::1")
}

// TestClosedPort wants who asks a port of the host, whose guest does not listen,
// to be refused, and who may not ask.
func TestClosedPort(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+filter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, filter)
			w.update(Rules{}, w.now)
			w.guest("b", func(g *Guest) { g.Ports = portsOf("b", 8000) })
			w.guest("i", func(g *Guest) { g.Ports = append(portsOf("i", 8010), at("eth0", portsOf("i", 8020))...) })
			w.guest("f", func(g *Guest) { g.Ports = at("eth0", portsOf("f", 8030)) })
			for _, g := range []string{"i", "f"} {
				w.all[g].serve("tcp", "", 80)
			}
			for family := range 2 {
				w.all["near"].ping(t, family, gateway("eth0", family)) // so that they know each other
				w.host.ping(t, family, address("b", family).String())
				w.host.ping(t, family, address("i", family).String())
				for _, port := range []int{8000, 8010} {
					for _, from := range []*ns{w.all["near"], w.all["a"], w.all["b"], w.all["p"], w.all["i"], w.host} {
						from.refused(t, "tcp", gateway("eth0", family), port)
					}
				}
				for _, port := range []int{8011, 8021} {
					for _, from := range []*ns{w.all["a"], w.all["b"], w.all["p"]} {
						from.refused(t, "tcp", gateway("eth0", family), port)
					}
				}
				w.all["near"].reaches(t, "tcp", gateway("eth0", family), 8021, address("near", family).String())
				w.all["i"].reaches(t, "tcp", gateway("eth0", family), 8021, gateway("berth1", family))
				w.all["i"].refused(t, "tcp", gateway("eth1", family), 8021)
				w.all["i"].reaches(t, "tcp", gateway("eth0", family), 8031, gateway("br0", family))
			}
		})
	}
}
