package network

import (
	"fmt"
	"net"
	"os"
	"slices"
	"testing"

	"golang.org/x/net/ipv6"

	"github.com/berth-containers/berth/internal/network/networktest"
)

// router is a machine that tells others on its link wan of itself.
type router struct {
	*networktest.Place
	wan  *net.Interface
	conn *ipv6.PacketConn
}

// newRouter makes one at the other end of the host's link uplink.
func newRouter(m machine) router {
	m.Helper()
	r := router{Place: networktest.NewPlace(m, "router")}
	const up = "; echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad; ip link set $name up"
	m.in(m.netns, fmt.Sprintf("ip link add uplink type veth peer name wan netns /proc/%d/fd/%d; name=uplink", os.Getpid(), r.Netns.Fd())+up)
	m.in(r.Netns, "ip link set lo up; name=wan"+up+"; timeout 10 sh -c 'until ip -6 addr show dev wan | grep -q fe80; do sleep 0.05; done'")
	var c net.PacketConn
	var err error
	r.Do(func() {
		if r.wan, err = net.InterfaceByName("wan"); err == nil {
			c, err = net.ListenPacket("ip6:ipv6-icmp", "::")
		}
	})
	must(m, err)
	m.Cleanup(func() { c.Close() })
	r.conn = ipv6.NewPacketConn(c)
	return r
}

// advertise tells of the router, for so many seconds, and of the prefix
// 2001:db8:9::/64, as RFC 4861 has it.
func (r router) advertise(lifetime byte) {
	r.Helper()
	message := slices.Concat(
		[]byte{byte(ipv6.ICMPTypeRouterAdvertisement), 0, 0, 0, 64, 0, 0, lifetime}, make([]byte, 8),
		[]byte{3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0}, net.ParseIP("2001:db8:9::"))
	_, err := r.conn.WriteTo(message, &ipv6.ControlMessage{HopLimit: 255, IfIndex: r.wan.Index}, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: r.wan.Name})
	must(r, err)
}

// TestAdvertisedRoute: a host that has its IPv6 of a router's advertisements keeps
// it while guests run, follows the router then, and is as it was after them.
func TestAdvertisedRoute(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	r := newRouter(m)
	routed := func(when, want string) {
		m.Helper()
		m.in(m.netns, "timeout 10 sh -c \"until ip -6 route show default | "+want+"; do sleep 0.05; done\" || { echo '"+when+"'; ip -6 route; ip -6 addr; false; }")
	}
	const known, unknown = "grep -q 'dev uplink proto ra'", "{ ! grep -q . ; }"
	r.advertise(200)
	routed("before there were guests", known)
	const settings = "grep . /proc/sys/net/ipv6/conf/*/accept_ra /proc/sys/net/ipv6/conf/*/forwarding"
	before := m.in(m.netns, settings)
	must(t, m.attach(bridged("a", "2"), netns(t)))
	m.has(m.netns, settings, "all/forwarding:1")
	m.has(m.netns, "ip -6 route show default; ip -6 addr show dev uplink", "dev uplink proto ra", "2001:db8:9:")
	r.advertise(0)
	routed("when the router says farewell", unknown)
	r.advertise(200)
	routed("when the router is back", known)
	m.detach("a")
	if after := m.in(m.netns, settings); after != before {
		t.Errorf("settings were\n%s\nand are\n%s", before, after)
	}
	m.has(m.netns, "ip -6 route show default", "dev uplink proto ra")
}
