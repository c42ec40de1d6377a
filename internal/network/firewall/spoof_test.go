package firewall

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpoofing sends what guests should not send, and what they may, packet by
// packet.
func TestSpoofing(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+filter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, filter)
			w.update(Rules{}, w.now)
			t.Run("bridge", w.testBridgeSpoofs)
			t.Run("foreign bridge", w.testForeignSpoofs)
			t.Run("DHCP guest", w.testFreeSpoofs)
			t.Run("link", w.testPointSpoofs)
			t.Run("loopback", w.testLoopback)
			t.Run("group", w.testGroups)
		})
	}
}

var (
	zero4    = netip.MustParseAddr("0.0.0.0")
	zero6    = netip.MustParseAddr("::")
	everyone = netip.MustParseAddr("ff02::1")
)

// linkLocal is the address that a guest's kernel makes of its MAC address.
func linkLocal(last byte) netip.Addr {
	return Link{MAC: mac(last)}.sources()[0]
}

// spoofs are from the guest self, of which other is a neighbour. On a foreign
// bridge, guests may be routers.
func spoofs(self, other string, foreign bool) []spoof {
	m, o := places[self].last, places[other].last
	from, to := mac(m), mac(o)
	ip, ip6, theirs, theirs6 := address(self, 0), address(self, 1), address(other, 0), address(other, 1)
	hello := datagram(9, 9, "")
	four := func(f, t netip.Addr, body []byte) []byte { return ether(to, from, unix.ETH_P_IP, ipv4(17, f, t, body)) }
	six := func(f, t netip.Addr, body []byte) []byte {
		return ether(to, from, unix.ETH_P_IPV6, ipv6(17, f, t, body))
	}
	nd := func(f netip.Addr, body []byte) []byte {
		return ether(to, from, unix.ETH_P_IPV6, ipv6(58, f, everyone, body))
	}
	return []spoof{
		{"other MAC", ether(to, mac(99), unix.ETH_P_IP, ipv4(17, ip, theirs, hello)), false},
		{"other's MAC", ether(to, to, unix.ETH_P_IP, ipv4(17, ip, theirs, hello)), false},
		{"other's IPv4", four(theirs, theirs, hello), false},
		{"unused IPv4", four(theirs.Next().Next().Next().Next(), theirs, hello), false},
		{"no IPv4", four(zero4, theirs, hello), false},
		{"DHCP client", four(zero4, theirs, datagram(68, 67, "")), true},
		{"DHCP server", four(ip, theirs, datagram(67, 68, "")), foreign},
		{"DHCP answer from another port", four(ip, theirs, datagram(1067, 68, "")), foreign},
		{"other's ARP", ether(to, from, unix.ETH_P_ARP, arpRequest(from, theirs)), false},
		{"ARP with other's MAC", ether(to, from, unix.ETH_P_ARP, arpRequest(to, ip)), false},
		{"ARP of another network", ether(to, from, unix.ETH_P_ARP, []byte{0, 6}, arpRequest(from, ip)[2:]), false},
		{"ARP", ether(to, from, unix.ETH_P_ARP, arpRequest(from, ip)), true},
		{"ARP probe", ether(to, from, unix.ETH_P_ARP, arpRequest(from, zero4)), true},
		{"other's IPv6", six(theirs6, theirs6, hello), false},
		{"other's link-local", six(linkLocal(o), theirs6, hello), false},
		{"own link-local", six(linkLocal(m), theirs6, hello), true},
		{"IPv6", six(ip6, theirs6, hello), true},
		{"no IPv6", six(zero6, theirs6, hello), false},
		{"DHCPv6 server", six(linkLocal(m), theirs6, datagram(547, 546, "")), foreign},
		{"DHCPv6 answer from another port", six(linkLocal(m), theirs6, datagram(1547, 546, "")), foreign},
		{"router", nd(linkLocal(m), neighbour(134, zero6)), foreign},
		{"redirect", nd(linkLocal(m), neighbour(137, theirs6)), foreign},
		{"router solicitation", nd(zero6, neighbour(133, zero6)), true},
		{"asks for other", nd(ip6, neighbour(135, theirs6)), true},
		{"is other", nd(ip6, neighbour(136, theirs6)), false},
		{"is own", nd(ip6, neighbour(136, ip6)), true},
		{"tries other", nd(zero6, neighbour(135, theirs6)), false},
		{"tries own", nd(zero6, neighbour(135, ip6)), true},
		{"joins groups", nd(zero6, neighbour(143, zero6)), true},
		{"no ND without address", nd(zero6, neighbour(136, ip6)), false},
		{"other's IPv4 with a tag", ether(to, from, unix.ETH_P_8021Q, port(7), port(unix.ETH_P_IP), ipv4(17, theirs, theirs, hello)), false},
		{"other's IPv4 with two tags", ether(to, from, unix.ETH_P_8021AD, port(0), port(unix.ETH_P_8021Q), port(7), port(unix.ETH_P_IP), ipv4(17, theirs, theirs, hello)), false},
		{"switch", ether(spanningTree(), from, 38, []byte("BPDU")), false},
		{"switch of another kind", ether([]byte{1, 0, 0xc, 0xcc, 0xcc, 0xcd}, from, 50, []byte("BPDU")), false},
		{"experiment", ether(to, from, 0x88b5, []byte("x")), foreign},
		{"IPv4", four(ip, theirs, hello), true},
	}
}

func (w *world) testBridgeSpoofs(t *testing.T) {
	probe{t, w.all["a"].wire(), w.all["b"].wire()}.check(spoofs("a", "b", false))
}

func (w *world) testForeignSpoofs(t *testing.T) {
	probe{t, w.all["f"].wire(), w.all["c"].wire()}.check(spoofs("f", "c", true))
	// The machine there is not berth's: it is what it says.
	to, from := mac(places["f"].last), mac(places["c"].last)
	probe{t, w.all["c"].wire(), w.all["f"].wire()}.check([]spoof{
		{"free IPv4", ether(to, from, unix.ETH_P_IP, ipv4(17, netip.MustParseAddr("192.168.7.99"), address("f", 0), datagram(9, 9, ""))), true},
		{"free MAC", ether(to, mac(98), unix.ETH_P_ARP, arpRequest(mac(98), address("f", 0))), true},
	})
}

// testFreeSpoofs is of a guest whose address the bridge's own DHCP gives.
func (w *world) testFreeSpoofs(t *testing.T) {
	all := spoofs("d", "c", true)
	for i := range all {
		all[i].pass = !slices.Contains([]string{"other MAC", "other's MAC", "switch", "switch of another kind"}, all[i].name)
	}
	probe{t, w.all["d"].wire(), w.all["c"].wire()}.check(all)
}

func (w *world) testPointSpoofs(t *testing.T) {
	i, err := w.host.hardware("ve-p")
	if err != nil {
		t.Fatal(err)
	}
	for family, kind := range []uint16{unix.ETH_P_IP, unix.ETH_P_IPV6} {
		far, packet := address("far", family), ipv4
		if family == 1 {
			packet = ipv6
		}
		frame := func(from netip.Addr) []byte {
			return ether(i, mac(places["p"].last), kind, packet(17, from, far, datagram(9, 9, "")))
		}
		probe{t, w.all["p"].wire(), w.all["far"].wire()}.check([]spoof{
			{"other's", frame(address("q", family)), false},
			{"host's", frame(netip.MustParseAddr(gateway("eth0", family))), false},
			{"machine's", frame(address("near", family)), false},
			{"own", frame(address("p", family)), true},
		})
	}
}

// testLoopback has guests send to the host's 127.0.0.1, to which their
// interfaces are open.
func (w *world) testLoopback(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct{ guest, iface string }{{"a", "berth0"}, {"i", "berth1"}, {"p", "ve-p"}} {
		hw, err := w.host.hardware(c.iface)
		if err != nil {
			t.Fatal(err)
		}
		gate := netip.MustParseAddr(gateway(c.iface, 0))
		closed, open := w.host.listen(netip.AddrPortFrom(local, 7)), w.host.listen(netip.AddrPortFrom(gate, 53))
		from := w.all[c.guest].wire()
		for _, d := range []struct {
			from, to netip.Addr
			port     uint16
		}{{address(c.guest, 0), local, 7}, {local, local, 7}, {local, gate, 53}, {address(c.guest, 0), gate, 53}} {
			frame := ether(hw, mac(places[c.guest].last), unix.ETH_P_IP, ipv4(17, d.from, d.to, datagram(9, d.port, "")))
			if _, err := unix.Write(from, named(frame, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if got := arrived(t, open, true); got != address(c.guest, 0) {
			t.Errorf("%s: the gateway got something from %v first", c.guest, got)
		}
		if got := arrived(t, closed, false); got.IsValid() {
			t.Errorf("%s: 127.0.0.1 got something from %v", c.guest, got)
		}
		closed.Close()
		open.Close()
	}
}

// testGroups has a guest send to the host by groups that bridges do not pass on:
// what comes there is taken by the port of the bridge. The first is passed on where
// there is no spanning tree, so that f reaches the host by it as by any other.
func (w *world) testGroups(t *testing.T) {
	for guest, groups := range map[string][]byte{"a": {0, 3, 14}, "f": {3, 14}} {
		iface := places[guest].iface
		hw, err := w.host.hardware(iface)
		if err != nil {
			t.Fatal(err)
		}
		for family, kind := range []uint16{unix.ETH_P_IP, unix.ETH_P_IPV6} {
			packet := []func(byte, netip.Addr, netip.Addr, []byte) []byte{ipv4, ipv6}[family]
			gate, other := netip.MustParseAddr(gateway(iface, family)), netip.MustParseAddr(gateway("eth0", family))
			open := w.host.listen(netip.AddrPortFrom(gate, 53))
			closed := []*net.UDPConn{w.host.listen(netip.AddrPortFrom(gate, 7)), w.host.listen(netip.AddrPortFrom(other, 7))}
			from := w.all[guest].wire()
			send := func(to net.HardwareAddr, source, target netip.Addr, port uint16) {
				frame := ether(to, mac(places[guest].last), kind, packet(17, source, target, summed(source, target, datagram(9, port, "<x>"))))
				if _, err := unix.Write(from, named(frame, "")); err != nil {
					t.Fatal(err)
				}
			}
			for _, last := range groups {
				for _, target := range []netip.Addr{gate, other} {
					for _, source := range []netip.Addr{address(guest, family), address("b", family), address("near", family)} {
						send(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, last}, source, target, 7)
					}
				}
			}
			send(hw, address(guest, family), gate, 53)
			if got := arrived(t, open, true); got != address(guest, family) {
				t.Errorf("%s: the gateway got something from %v first", guest, got)
			}
			for _, c := range closed {
				if got := arrived(t, c, false); got.IsValid() {
					t.Errorf("%s: %v got something from %v", guest, c.LocalAddr(), got)
				}
				c.Close()
			}
			open.Close()
		}
	}
}
