//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/internal/network/networktest"
	"github.com/berth-containers/berth/internal/state"
)

// TestNetworkLive changes the network of guests that run.
func TestNetworkLive(t *testing.T) {
	m := &matrix{lan: newLan(t), others: map[string]*networktest.Place{}}
	m.home = &networktest.Place{TB: m, Label: "the host", Netns: m.netns}
	m.machine("near", "m-near", near, hostNear)
	m.inside("near").host("ip route add 10.90.0.0/16 via 192.0.2.1")
	declare := func(one, two, front string) {
		m.declare(fmt.Sprintf("networks: { front: { subnet: 10.90.1.0/24%s }, back: { subnet: 10.90.2.0/24 } }\ncontainers:\n"+
			"  one: { image: $DEBIAN, privateNetwork: true, networks: [front]%s }\n  two: { image: $DEBIAN, privateNetwork: true, networks: [back]%s }\n", front, one, two))
		m.run("up", "--yes")
	}
	port := func(n int) string { return fmt.Sprintf(", forwardPorts: [{ hostPort: %d, containerPort: 80 }]", n) }
	declare(port(8001), "", "")
	one, two := m.guestPlace("one"), m.guestPlace("two")
	leaders := func() string { return fmt.Sprint(m.status("one").Leader, m.status("two").Leader) }
	before := leaders()
	one.Serve(80)
	two.Serve(80)
	m.seenAs(m.others["near"], hostNear[0], 8001, near[0])
	m.has(m.out("port", "one"), "8001/tcp")
	m.has(m.out("port", "one", "--json"), `"packets": `)
	if strings.Contains(m.out("port", "one", "--json"), `"packets": 0`) {
		t.Errorf("nothing is counted: %s", m.out("port", "one", "--json"))
	}

	declare(port(8002), port(8001), "") // the port changes hands
	m.seenAs(m.others["near"], hostNear[0], 8002, near[0])
	m.home.Serve(9999)
	create := func(port string) string {
		return m.fails(1, "create", "late", "--start", "--image", tiny(), "privateNetwork=true", "networks=[back]", "forwardPorts=[{hostPort: "+port+"}]").err
	}
	m.has(create("8002"), "tcp port 8002 of the host is that of the container one")
	m.has(create("9999"), "tcp port 9999 of the host is in use by "+filepath.Base(os.Args[0]))
	m.run("destroy", "late", "--yes") // it has been created, not started
	gateway := m.lease("one").Links[0].Gateways[0]
	m.seenAs(one, gateway, 9999, "")
	declare(port(8002)+", aliases: [www], allowHost: [9999]", port(8001), "")
	m.seenAs(one, gateway, 9999, m.first("one"))
	m.within(m.in, "getent ahostsv4 www | head -1", m.first("one"))

	four := strings.TrimSpace(m.first("one"))
	m.seenAs(m.others["near"], four, 80, "")
	m.seenAs(two, four, 80, m.first("two"))
	declare(port(8002), port(8001), ", nat: false")
	m.seenAs(m.others["near"], four, 80, near[0])
	declare(port(8002), port(8001), ", isolated: true")
	m.seenAs(m.others["near"], four, 80, "")
	m.seenAs(two, four, 80, "")
	m.has(m.out("network", "show", "front"), "isolated", "true")

	back := func() bool { _, err := m.others["near"].Ask("tcp", hostNear[0], 8002); return err == nil }
	instance := state.Paths{Root: m.root}.Instance()
	for _, ruin := range []string{"flush ruleset", "flush table inet " + instance} { // as the reload of a firewall may do
		m.host("nft " + ruin)
		m.until("ports are back after "+ruin, back)
	}
	stop := "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"
	m.host(stop)
	m.until("the kernel forwards again", back)
	doctorSays := func(ruin string, what ...string) {
		m.until("doctor says "+what[0], func() (says bool) {
			m.while(ruin, func() {
				r := m.try("doctor")
				says = r.code == 1 && !slices.ContainsFunc(what, func(w string) bool { return !strings.Contains(r.out, w) })
			})
			return says
		})
	}
	doctorSays(stop, "it has to be net.ipv4.ip_forward=1, net.ipv6.conf.all.forwarding=1")
	m.until("the kernel forwards again", back)
	m.has(m.out("doctor"), "forwarding: the kernel's settings are as guests that run need them", "connections: no guest has too many open")
	// Nobody is told of this, but who still mends what was ruined before sees it too.
	doctorSays("nft flush map inet "+instance+" all4", "somebody has removed rules of berth", "berth doctor --fix")
	is(t, "the port", back(), false)
	m.run("doctor", "--fix")
	is(t, "the port", back(), true)
	m.seenAs(two, four, 80, "")
	is(t, "the guests", leaders(), before)

	m.declare(strings.ReplaceAll(m.read(m.work+"/berth.yaml"), "10.90.1.0/24", "10.90.3.0/24"))
	m.has(m.out("plan", "-f", "berth.yaml"), "one: update, effect restart", "networks.front.subnet: 10.90.1.0/24 -> 10.90.3.0/24 (restart)")
	m.run("up", "--yes")
	m.has(m.first("one"), "10.90.3.")
	m.guestPlace("one").Serve(80)
	m.seenAs(m.others["near"], hostNear[0], 8002, near[0])
	m.has(m.run("apply", "-f", "berth.yaml").err, "one: nothing to do", "two: nothing to do")
	m.declare("containers: {}\n")
	m.run("apply", "-f", "berth.yaml", "--prune", "--yes")
	is(t, "networks afterwards", m.out("network", "ls"), "NAME  SUBNET  SUBNET6  BRIDGE  CONTAINERS  OWNER")
}

// seenAs has somebody ask by TCP and be seen at an address, or not be answered
// where that is empty.
func (m *matrix) seenAs(who *networktest.Place, address string, port int, as string) {
	m.Helper()
	if seen, err := who.Ask("tcp", address, port); seen != strings.TrimSpace(as) {
		m.Errorf("%s asks %s port %d: seen at %q, not at %q (%v)", who.Label, address, port, seen, as, err)
	}
}
