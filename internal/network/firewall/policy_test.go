package firewall

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPolicy is who may reach whom, and as whom.
func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+filter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, filter)
			w.update(Rules{}, w.now)
			for _, proto := range []string{"tcp", "udp"} {
				for _, n := range w.all {
					n.serve(proto, "", 80)
				}
				for _, port := range []int{53, 80, 5432} {
					w.host.serve(proto, "", port)
				}
			}
			for family := range 2 { // an answer from all addresses would come from the nearest
				w.host.serve("udp", gateway("eth0", family), 81)
				w.host.serve("tcp", gateway("eth0", family), 81)
			}
			w.guest("b", func(g *Guest) { g.Host = []HostPort{{"tcp", 5430, 5440}} })
			w.guest("q", func(g *Guest) { g.Host = []HostPort{{}} })
			for family := range 2 {
				for _, proto := range []string{"tcp", "udp"} {
					t.Run(fmt.Sprintf("IPv%d %s", 4+2*family, proto), func(t *testing.T) {
						w.testNetworks(t, family, proto)
						w.testHost(t, family, proto)
					})
				}
			}
			t.Run("segments", w.testSegments)
		})
	}
}

func (w *world) testNetworks(t *testing.T, family int, proto string) {
	at := func(name string) string { return address(name, family).String() }
	reach := func(from, to, as string) { t.Helper(); w.all[from].reaches(t, proto, at(to), 80, as) }
	refuse := func(from, to string) { t.Helper(); w.all[from].refused(t, proto, at(to), 80) }
	// To the world: as the host, but for the network that is routed.
	for _, name := range []string{"a", "i", "p"} {
		reach(name, "near", gateway("eth0", family))
		reach(name, "far", gateway("eth1", family))
	}
	reach("r", "near", at("r"))
	// Among guests.
	reach("a", "b", at("a"))
	reach("a", "p", at("a"))
	reach("p", "a", at("p"))
	reach("p", "q", at("p"))
	reach("a", "r", at("a"))
	for _, name := range []string{"a", "r", "p"} {
		refuse("i", name)
		refuse(name, "i")
	}
	// From the world.
	reach("near", "r", at("near"))
	w.all["near"].run("ip", "route", "replace", at("a"), "via", gateway("eth0", family))
	w.all["near"].run("ip", "route", "replace", at("p"), "via", gateway("eth0", family))
	refuse("near", "a")
	refuse("near", "p")
	// From the host.
	w.host.reaches(t, proto, at("a"), 80, gateway("berth0", family))
	w.host.reaches(t, proto, at("i"), 80, gateway("berth1", family))
	w.host.reaches(t, proto, at("p"), 80, gateway("ve-p", family))
}

func (w *world) testHost(t *testing.T, family int, proto string) {
	for _, name := range []string{"a", "i", "r", "p"} {
		own, at := gateway(places[name].iface, family), address(name, family).String()
		w.all[name].reaches(t, proto, own, 53, at)
		w.all[name].refused(t, proto, own, 80)
		w.all[name].refused(t, proto, gateway("eth0", family), 80)
		w.all[name].refused(t, proto, gateway("eth0", family), 53)
		w.all[name].refused(t, proto, gateway("br0", family), 53)
		w.all[name].ping(t, family, own)
	}
	// What it is allowed, with one protocol or both.
	b, q := w.all["b"], w.all["q"]
	if proto == "tcp" {
		b.reaches(t, proto, gateway("eth0", family), 5432, address("b", family).String())
	} else {
		b.refused(t, proto, gateway("eth0", family), 5432)
	}
	b.refused(t, proto, gateway("eth0", family), 80)
	q.reaches(t, proto, gateway("eth0", family), 81, address("q", family).String())
	// berth's rules are for berth's networks.
	w.all["near"].reaches(t, proto, gateway("eth0", family), 80, address("near", family).String())
	w.all["f"].reaches(t, proto, gateway("br0", family), 80, address("f", family).String())
}

// testSegments has a guest connect over a way with a smaller MTU than its own,
// of which the other end does not know.
func (w *world) testSegments(t *testing.T) {
	w.host.ip("link set eth1 mtu 1400")
	for family, most := range []int{1400 - 40, 1400 - 60} {
		var l net.Listener
		var err error
		w.all["far"].do(func() { l, err = net.Listen("tcp", netip.AddrPortFrom(address("far", family), 0).String()) })
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var c net.Conn
		w.all["a"].do(func() { c, err = net.Dial("tcp", l.Addr().String()) })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		served, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer served.Close()
		if got := segment(t, served); got > most || got < most-60 {
			t.Errorf("%v sends segments of %d bytes to a guest, not of %d", l.Addr(), got, most)
		}
	}
}

// segment is how much a connection sends at once.
func segment(t *testing.T, c net.Conn) int {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return int(info.Snd_mss)
}

// TestTooBig has the error of a router in the way reach a guest.
func TestTooBig(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "1")
	w.update(Rules{}, w.now)
	w.host.ip("link set eth1 mtu 1300")
	for family := range 2 {
		for _, name := range []string{"a", "p"} {
			var c net.Conn
			var err error
			w.all[name].do(func() { c, err = net.Dial("udp", netip.AddrPortFrom(address("far", family), 9).String()) })
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write(make([]byte, 1400)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.EMSGSIZE) {
				t.Errorf("%s to %v: %v", name, c.RemoteAddr(), err)
			}
		}
	}
}
