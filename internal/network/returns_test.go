package network

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/berth-containers/berth/internal/network/networktest"
	"github.com/berth-containers/berth/internal/state"
)

// TestReturns: a guest with several links answers by that on which it is asked, by
// ports of the host too, and sees who asks.
func TestReturns(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	must(t, state.WriteJSON(m.paths.Network("back"), Network{Name: "back", Bridge: "berth9", NAT: true,
		Subnet: netip.MustParsePrefix("10.99.0.0/24"), Subnet6: netip.MustParsePrefix("fd00:99::/64")}))
	before := m.links()
	near := networktest.NewPlace(t, "near")
	m.in(m.netns, fmt.Sprintf("ip link add wan type veth peer name eth0 netns /proc/%d/fd/%d; ip addr add 192.0.2.1/24 dev wan; ip addr add 2001:db8:1::1/64 dev wan nodad; ip link set wan up", os.Getpid(), near.Netns.Fd()))
	m.in(near.Netns, "ip link set lo up; ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8:1::2/64 dev eth0 nodad; ip link set eth0 up")
	l := bridged("web", "2")
	l.Links = append(l.Links,
		Link{Kind: Bridged, Host: "ve-web_1", Guest: "eth1", MAC: "02:00:00:00:01:02", Bridge: "berth9", Network: "back",
			Addresses: prefixes("10.99.0.2/24", "fd00:99::2/64"), Returns: addrs("10.99.0.1", "fd00:99::1"), Table: firstTable + 1},
		Link{Kind: Point, Host: "lan", Guest: "lan", MAC: "02:00:00:00:01:03", HostAddresses: prefixes("10.7.0.1/32", "fd07::1/128"),
			Addresses: prefixes("10.7.0.2/32", "fd07::2/128"), Returns: addrs("10.7.0.1", "fd07::1"), Table: firstTable + 2})
	made := maker{lease: l}
	made.around()
	l = made.lease
	port := func(host uint16, guest ...string) {
		l.Ports = append(l.Ports, Port{Protocol: "tcp", First: host, Last: host, To: 80, Guest: addrs(guest...)})
	}
	port(8000, "10.9.0.2", "fd00:9::2")
	port(8001, "10.99.0.2", "fd00:99::2")
	port(8002, "10.7.0.2", "fd07::2")
	guest, other := netns(t), netns(t)
	m.in(guest, "ip link set lo up") // for IPv6, which Go looks for there
	must(t, m.attach(l, guest))
	must(t, m.attach(bridged("db", "3"), other))
	third := netns(t)
	must(t, m.attach(Lease{Name: "peer", Links: []Link{{Kind: Bridged, Host: "ve-peer", Guest: "eth0", MAC: "02:00:00:00:01:09", Bridge: "berth9", Network: "back",
		Addresses: prefixes("10.99.0.9/24", "fd00:99::9/64"), Gateways: addrs("10.99.0.1", "fd00:99::1")}}}, third))
	web, db := &networktest.Place{TB: t, Label: "web", Netns: guest}, &networktest.Place{TB: t, Label: "db", Netns: other}
	peer := &networktest.Place{TB: t, Label: "peer", Netns: third}
	home := &networktest.Place{TB: t, Label: "the host", Netns: m.netns}
	web.Serve(80)
	asks := func(who *networktest.Place, address string, port int, as string) {
		t.Helper()
		if seen, err := who.Ask("tcp", address, port); seen != as {
			t.Errorf("%s asks %s port %d: seen at %q, not at %s (%v)", who.Label, address, port, seen, as, err)
		}
	}
	for port := 8000; port <= 8002; port++ {
		asks(near, "192.0.2.1", port, "192.0.2.2")
		asks(near, "2001:db8:1::1", port, "2001:db8:1::2")
	}
	// By the first address of a guest, from networks on which it has others.
	asks(peer, "192.0.2.1", 8000, "10.99.0.9")
	asks(peer, "2001:db8:1::1", 8000, "fd00:99::9")
	asks(peer, "10.9.0.2", 80, "10.99.0.9")
	for _, address := range []string{"10.99.0.1", "fd00:99::1", "10.7.0.1", "fd07::1"} {
		asks(home, address, 8000, address)
	}
	asks(home, "10.99.0.2", 80, "10.99.0.1")
	asks(home, "10.7.0.2", 80, "10.7.0.1")
	asks(home, "fd07::2", 80, "fd07::1")
	asks(db, "10.99.0.2", 80, "10.9.0.3")
	asks(db, "10.7.0.2", 80, "10.9.0.3")
	asks(db, "fd07::2", 80, "fd00:9::3")
	m.detach("web")
	m.detach("db")
	m.detach("peer")
	m.in(m.netns, "ip link del wan")
	m.clean(before)
}
