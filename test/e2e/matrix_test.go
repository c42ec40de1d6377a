//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/network/networktest"
)

// The host's addresses, and those of the machines, in both families.
var (
	hostNear, near     = [2]string{"192.0.2.1", "2001:db8:1::1"}, [2]string{"192.0.2.2", "2001:db8:1::2"}
	hostFar, far       = [2]string{"198.51.100.1", "2001:db8:2::1"}, [2]string{"198.51.100.2", "2001:db8:2::2"}
	hostBeside, beside = [2]string{"10.8.0.1", "fd08::1"}, [2]string{"10.8.0.9", "fd08::9"}
	loopbacks          = [2]string{"127.0.0.1", "::1"}
)

// matrix is a host between machines, with guests of each kind.
type matrix struct {
	*lan
	home   *networktest.Place
	others map[string]*networktest.Place // machines
	guests []*matrixGuest
}

// matrixGuest is a guest that answers port 80, and with that ports of the host.
type matrixGuest struct {
	name, kind string // bridge, point or foreign: on a bridge that is not berth's
	port       int    // on all addresses of the host, of TCP and UDP; others follow, see keys
	keys       string
	networkd   bool
	*networktest.Place
	own, gateway [2]string // its addresses, and the host's on its link
}

// TestPorts asserts that ports answer whoever asks from wherever, that guests
// see who it is, and that nothing of it is left on the host.
func TestPorts(t *testing.T) {
	m := newMatrix(newLan(t))
	before := m.everything()
	m.declareGuests()
	m.run("up", "--yes")
	running := m.everything()
	m.has(m.run("apply", "-f", "berth.yaml").err, "nothing to do")
	is(t, "the host's network after a second apply", m.everything(), running)
	for _, g := range m.guests {
		m.look(g)
		g.Serve(80)
	}
	for _, bridged := range []string{"1", "0"} { // whether the rules for IP see what passes a bridge
		m.host("cd /proc/sys/net/bridge; for f in bridge-nf-call-iptables bridge-nf-call-ip6tables; do echo " + bridged + " >$f; done")
		for _, g := range m.guests {
			m.askAll(g, bridged)
		}
	}
	m.host("cd /proc/sys/net/bridge; echo 1 | tee bridge-nf-call-iptables >bridge-nf-call-ip6tables")
	m.run("down")
	m.awaitNames()
	is(t, "the host's network afterwards", m.everything(), before)
}

func newMatrix(l *lan) *matrix {
	m := &matrix{lan: l, home: &networktest.Place{TB: l, Label: "the host", Netns: l.netns}, others: map[string]*networktest.Place{}}
	l.link("br9", "type bridge")
	m.machine("near", "m-near", near, hostNear)
	m.machine("far", "m-far", far, hostFar)
	m.machine("beside", "m-beside", beside, [2]string{})
	l.host("ip link set m-beside master br9; ip addr add 10.8.0.1/24 dev br9; ip addr add fd08::1/64 dev br9 nodad; ip link set br9 up")
	l.until("the bridge carries", func() bool { return strings.Contains(l.host("ip -6 route show table local"), "local fd08::1 ") })
	kinds := []string{"bridge", "point"}
	for i := range 8 {
		g := &matrixGuest{kind: kinds[i%2], networkd: i&4 != 0, port: 8001 + i}
		users := []string{"pick", "no"}[i/2%2]
		g.name = fmt.Sprintf("%s-%s%d", g.kind, users, i/4)
		g.keys = "privateUsers: " + users
		if g.kind == "point" {
			g.keys += fmt.Sprintf(", hostAddress: 10.7.%[1]d.1, localAddress: 10.7.%[1]d.2, hostAddress6: 'fd07:%[1]d::1', localAddress6: 'fd07:%[1]d::2'", i)
			if g.networkd { // the same with a prefix
				g.keys = strings.NewReplacer(".1,", ".1/24,", ".2,", ".2/24,", "::1'", "::1/64'", "::2'", "::2/64'").Replace(g.keys)
			}
		}
		m.guests = append(m.guests, g)
	}
	m.guests = append(m.guests, &matrixGuest{name: "foreign", kind: "foreign", port: 8010, networkd: true,
		keys: "hostBridge: br9, hostAddress: 10.8.0.1, localAddress: 10.8.0.2/24, hostAddress6: 'fd08::1', localAddress6: 'fd08::2/64'"})
	return m
}

// machine makes another machine on a link to the host.
func (m *matrix) machine(name, link string, own, host [2]string) {
	m.Helper()
	p := networktest.NewPlace(m, name)
	m.others[name] = p
	m.link(link, fmt.Sprintf("type veth peer name eth0 netns /proc/%d/fd/%d", os.Getpid(), p.Netns.Fd()))
	if host[0] != "" {
		m.host(fmt.Sprintf("ip addr add %s/24 dev %s; ip addr add %s/64 dev %s nodad", host[0], link, host[1], link))
	}
	m.inside(name).host(fmt.Sprintf("ip link set lo up; ip addr add %s/24 dev eth0; ip addr add %s/64 dev eth0 nodad; ip link set eth0 up", own[0], own[1]))
}

// inside has another machine in the place of the host, to run commands there.
func (m *matrix) inside(name string) *lan {
	netns := m.others[name].Netns
	return &lan{berth: m.berth, enter: []string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), netns.Fd())}, netns: netns}
}

// declareGuests writes the declaration of all guests.
func (m *matrix) declareGuests() {
	m.Helper()
	wants := filepath.Join(m.work, "units/multi-user.target.wants")
	must(m, os.MkdirAll(wants, 0o755))
	must(m, os.Symlink("/usr/lib/systemd/system/systemd-networkd.service", filepath.Join(wants, "systemd-networkd.service")))
	text := "containers:\n"
	for _, g := range m.guests {
		text += fmt.Sprintf("  %s: { image: $DEBIAN, privateNetwork: true, ephemeral: true, %s", g.name, g.keys)
		if g.networkd {
			text += ", bindMounts: { /usr/local/lib/systemd/system: { hostPath: ./units } }"
		}
		text += ", forwardPorts: ["
		for _, proto := range []string{"tcp", "udp"} {
			for i, listen := range []string{"", hostNear[0], loopbacks[0], loopbacks[1]} {
				text += fmt.Sprintf("{ protocol: %s, hostPort: %d, containerPort: 80, hostAddress: '%s' }, ", proto, g.port+100*i, listen)
			}
		}
		text += "] }\n"
	}
	m.declare(strings.ReplaceAll(text, ", hostAddress: '' }", " }"))
}

// look finds a guest that runs.
func (m *matrix) look(g *matrixGuest) {
	m.Helper()
	g.Place = m.guestPlace(g.name)
	g.own[0], g.own[1] = m.addresses(g.name)
	for _, a := range m.lease(g.name).Links[0].Gateways {
		g.gateway[family(a)] = a
	}
	if g.networkd {
		m.until("systemd-networkd of "+g.name+" is content", func() bool {
			return strings.Contains(m.try("exec", g.name, "--", "networkctl", "status", "eth0").out, "(configured)")
		})
	}
}

func family(address string) int {
	if strings.Contains(address, ":") {
		return 1
	}
	return 0
}

// askAll has all who may reach a guest ask it, in all ways.
func (m *matrix) askAll(g *matrixGuest, how string) {
	for f := range 2 {
		here, link := hostNear[f], g.gateway[f]
		m.asks(g, how, m.others["near"], here, g.port, near[f])
		m.asks(g, how, m.others["far"], hostFar[f], g.port, far[f])
		m.asks(g, how, m.home, here, g.port, here)
		m.asks(g, how, m.home, link, g.port, link)
		m.asks(g, how, m.home, loopbacks[f], g.port, link)
		m.asks(g, how, m.home, loopbacks[f], g.port+200+100*f, link)
		m.asks(g, how, m.home, g.own[f], 80, link)
		m.asks(g, how, g.Place, here, g.port, link)
		m.asks(g, how, g.Place, link, g.port, link)
		for _, kind := range []string{"bridge", "point", "foreign"} {
			i := slices.IndexFunc(m.guests, func(o *matrixGuest) bool { return o != g && o.kind == kind })
			if i < 0 {
				continue
			}
			o, as := m.guests[i], m.guests[i].own[f]
			switch {
			case g.kind == "foreign": // outside of o's networks
				m.asks(g, how, o.Place, here, g.port, link)
				m.asks(g, how, o.Place, g.own[f], 80, link)
				continue
			case o.kind == "foreign":
				m.refused(g, how, o.Place, g.own[f], 80)
			default:
				m.asks(g, how, o.Place, g.own[f], 80, as)
			}
			if o.kind == "bridge" && g.kind == "bridge" { // they reach each other without the host
				as = link
			}
			m.asks(g, how, o.Place, here, g.port, as)
		}
	}
	m.asks(g, how, m.others["near"], hostNear[0], g.port+100, near[0])
	m.asks(g, how, m.home, hostNear[0], g.port+100, hostNear[0])
	m.refused(g, how, m.others["far"], hostFar[0], g.port+100)
	m.refused(g, how, m.others["near"], hostNear[0], g.port+200)
	if g.kind == "foreign" {
		for f := range 2 {
			m.asks(g, how, m.others["beside"], hostBeside[f], g.port, hostBeside[f])
			m.asks(g, how, m.others["beside"], g.own[f], 80, beside[f])
		}
	}
}

// asks has somebody ask a guest, and be seen at an address.
func (m *matrix) asks(g *matrixGuest, how string, who *networktest.Place, address string, port int, as string) {
	m.Helper()
	for _, proto := range []string{"tcp", "udp"} {
		if seen, err := who.Ask(proto, address, port); err != nil || seen != as {
			m.Errorf("bridge-nf-call %s: %s asks %s by %s %s port %d: seen at %s, not at %s, %v", how, who.Label, g.name, proto, address, port, seen, as, err)
		}
	}
}

// refused has somebody ask in vain, and be told so at once. The kernel sends not
// as many answers to UDP.
func (m *matrix) refused(g *matrixGuest, how string, who *networktest.Place, address string, port int) {
	m.Helper()
	begun := time.Now()
	if seen, err := who.Ask("tcp", address, port); err == nil || time.Since(begun) > time.Second {
		m.Errorf("bridge-nf-call %s: %s asks %s by tcp %s port %d: seen at %s, after %v, %v", how, who.Label, g.name, address, port, seen, time.Since(begun), err)
	}
}

// everything is the host's network with all settings, but for what changes by
// itself.
func (l *lan) everything() string {
	l.Helper()
	return l.links() + l.host(`
		ip -d -o link show | sed -E 's/^[0-9]+: //; s/(timer|qlen|link-netnsid|group_fwd_mask|fdb_n_learned)[ ]+[0-9.]+//g; s/@if[0-9]+/@/'
		ip -4 rule; ip -6 rule
		nft list ruleset | sed -E 's/packets [0-9]+ bytes [0-9]+//'
		grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 /proc/sys/net/bridge | sort`)
}
