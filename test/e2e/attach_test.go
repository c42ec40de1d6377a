//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAttached has guests with links of each kind, with user namespaces and
// without: what they are to have is there, they may change it, and nothing of it
// is left when they stop.
func TestAttached(t *testing.T) {
	for _, users := range []string{"pick", "no"} {
		t.Run("privateUsers="+users, func(t *testing.T) { attached(newLan(t), users) })
	}
}

func attached(l *lan, users string) {
	l.link("br9", "address 02:00:00:00:0a:01 type bridge")
	l.host("ip link set br9 mtu 1400; ip addr add 10.8.0.1/24 dev br9")
	l.card("lan", "02:00:00:00:09:01", "192.0.2.1/24")
	l.card("base", "02:00:00:00:09:02", "192.0.3.1/24")
	before := l.links()
	create := func(name string, keys ...string) {
		l.run(append([]string{"create", name, "--image", debian(), "privateNetwork=true", "privateUsers=" + users}, keys...)...)
	}
	create("one")
	create("two")
	create("pair", "hostAddress=10.7.0.1", "localAddress=10.7.0.2", "hostAddress6=fd07::1", "localAddress6=fd07::2")
	create("bridged", "hostBridge=br9", "localAddress=10.8.0.2/24", "hostAddress=10.8.0.1", "localMacAddress=02:00:00:00:00:08")
	create("zoned", "zone=dmz")
	create("many", "macvlans=[base]", "interfaces=[lan]", "extraVeths.db.hostAddress=10.6.0.1", "extraVeths.db.localAddress=10.6.0.2", "networks=[default]")
	for range 2 { // the second time after a stop
		l.run("start", "--all")
		one := l.lease("one")
		is(l, "attached", one.Attached, true)
		is(l, "one", l.guestLinks("one"), "lo\neth0 "+strings.Join(one.Links[0].Addresses, " "))
		is(l, "pair", l.guestLinks("pair"), "lo\neth0 10.7.0.2/32 fd07::2/128")
		is(l, "bridged", l.guestLinks("bridged"), "lo\neth0 10.8.0.2/24")
		l.has(l.in("bridged", "ip link show eth0"), "mtu 1400", "02:00:00:00:00:08")
		l.has(l.in("many", "ip -br link"), "eth0@", "mv-base@", "lan@", "db@")
		l.has(l.in("many", "ip -br addr show db"), "10.6.0.2/32")
		l.reaches("many", "10.6.0.1")
		l.has(l.host("timeout 5 bash -c ': </dev/tcp/10.6.0.2/9' 2>&1 || true"), "Connection refused") // it has its default route elsewhere
		for _, a := range l.lease("two").Links[0].Addresses {
			address, _, _ := strings.Cut(a, "/")
			l.reaches("one", address)
		}
		l.reaches("bridged", "10.8.0.1")
		l.has(l.read(l.root+"/run/berth/leases/zoned.json"), "dmz")
		l.has(l.in("one", "cat /etc/resolv.conf"), "nameserver "+one.Links[0].Gateways[0], "search containers")
		is(l, "what a guest may do itself", l.in("one", "ip link add type veth && ip addr add 10.1.1.1/24 dev veth0 && ip -br addr show veth0 | tr -s ' ' | cut -d' ' -f3"), "10.1.1.1/24")
		l.run("stop", "--all")
		is(l, "the host's network afterwards", l.links(), before)
	}
}

// TestAttachedInit: the init of a guest with a network finds the state that it
// has without a process of berth before it.
func TestAttachedInit(t *testing.T) {
	l := newLan(t)
	for name, setting := range map[string]string{"plain": "extraFlags=[--quiet]", "gated": "privateNetwork=true"} { // berth starts nothing in the first
		l.run("create", name, "--image", tiny(), "--start", setting)
	}
	const state = `for f in status environ cmdline limits; do echo "$f"; tr '\0' '\n' </proc/1/$f | grep -E '^(Sig(Ign|Cgt)|CapAmb|Groups|Seccomp|NoNewPrivs|[a-zA-Z_]+=|/|Max)' | grep -vE 'container_uuid|container_host'; done; ls /proc/1/fd`
	ofInit := func(name string) string {
		leader := l.status(name).Leader
		return l.host(strings.ReplaceAll(state, "/proc/1/", fmt.Sprintf("/proc/%d/", leader)))
	}
	if diff := cmp.Diff(strings.Split(ofInit("plain"), "\n"), strings.Split(ofInit("gated"), "\n")); diff != "" {
		t.Errorf("-without a network +with one\n%s", diff)
	}
	is(l, "attached", l.lease("gated").Attached, true)
}

// TestAttachFails: a guest whose network cannot be made does not start, says
// why, and leaves nothing.
func TestAttachFails(t *testing.T) {
	l := newLan(t)
	l.link("br8", "address 02:00:00:00:0a:08 type bridge") // which the kernel moves nowhere
	before := l.links()
	for _, image := range []string{debian(), tiny()} {
		l.run("create", "web", "--image", image, "privateNetwork=true", "interfaces=[br8]", "networks=[default]")
		const why = "br8: move br8: its driver keeps it in its network namespace"
		l.has(l.fails(1, "start", "web").err, why)
		l.has(l.out("why", "web"), why)
		l.state("web", "failed")
		is(l, "the host's network afterwards", l.links(), before)
		l.run("destroy", "web", "--yes")
	}
}

// TestNamedNamespace has guests in a network namespace of somebody else's.
func TestNamedNamespace(t *testing.T) {
	l := newLan(t)
	name := filepath.Base(filepath.Dir(l.root)) + "-e2e"
	l.host("ip netns add " + name + "; ip -n " + name + " link add only type bridge")
	t.Cleanup(func() { l.host("ip netns del " + name) })
	for _, users := range []string{"pick", "no"} {
		l.run("create", "u"+users, "--image", debian(), "--start", "privateUsers="+users, "networkNamespace=/run/netns/"+name)
		is(t, "links of "+users, l.in("u"+users, "ip -o link | cut -d: -f2 | tr -d ' '"), "lo\nonly")
	}
	l.run("stop", "--all")
	l.host("ip -n " + name + " link show only")
}

// TestGuestManagers: a network manager in the guest leaves what berth has set
// up, and finds it online.
func TestGuestManagers(t *testing.T) {
	l := newLan(t)
	l.run("create", "web", "--image", debian(), "--start", "privateNetwork=true")
	before := l.guestLinks("web")
	routes := l.in("web", "ip route; ip -6 route show default")
	l.in("web", "systemctl enable systemd-networkd systemd-networkd-wait-online >/dev/null 2>&1; ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
	l.run("restart", "web")
	l.in("web", "/usr/lib/systemd/systemd-networkd-wait-online --timeout=30")
	l.has(l.in("web", "networkctl status eth0"), "00-berth-eth0.network", "configured")
	for _, how := range []string{"", "systemctl restart systemd-networkd; /usr/lib/systemd/systemd-networkd-wait-online --timeout=30", "networkctl reload; networkctl reconfigure eth0; sleep 1; /usr/lib/systemd/systemd-networkd-wait-online --timeout=30"} {
		l.in("web", how)
		is(l, "addresses under networkd "+how, l.guestLinks("web"), before)
		is(l, "routes under networkd "+how, l.in("web", "ip route; ip -6 route show default"), routes)
	}
	l.has(l.in("web", "readlink /etc/resolv.conf; cat /run/systemd/resolved.conf.d/10-berth.conf"), "stub-resolv.conf", "Domains=containers", "LLMNR=no")
}

// TestGuestManagersOfDebian: the same for NetworkManager, dhcpcd and ifupdown,
// each by itself and all at once.
func TestGuestManagersOfDebian(t *testing.T) {
	l := newLan(t)
	l.ownImages()
	const interfaces = "printf 'auto eth0\\niface eth0 inet dhcp\\n' >/etc/network/interfaces; echo nodev >>/etc/dhcpcd.conf; "
	all := []string{"NetworkManager", "dhcpcd", "networking"}
	for i, units := range [][]string{{"NetworkManager"}, {"dhcpcd"}, {"networking"}, all} {
		name := fmt.Sprintf("web%d", i)
		l.run("create", name, "--image", fromRecipe("managers")(l.berth), "--start", "privateNetwork=true")
		l.in(name, "systemctl disable --quiet systemd-networkd "+strings.Join(all, " ")+" 2>&1; "+interfaces+"systemctl enable --quiet "+strings.Join(units, " ")+" 2>&1")
		l.run("restart", name)
		addresses := "lo\neth0 " + strings.Join(l.lease(name).Links[0].Addresses, " ")
		for _, u := range units {
			l.until(u+" runs", func() bool { return l.try("exec", name, "--", "systemctl", "is-active", "--quiet", u).code == 0 })
		}
		for _, how := range []string{"", "systemctl try-restart NetworkManager dhcpcd networking; sleep 3"} {
			l.in(name, how)
			what := fmt.Sprintf("%s %q", units, how)
			if len(units) == 1 && units[0] == "NetworkManager" {
				l.has(l.in(name, "nmcli -t -f DEVICE,STATE device"), "eth0:unmanaged")
			}
			is(l, "addresses under "+what, l.guestLinks(name), addresses)
			for _, g := range l.lease(name).Links[0].Gateways {
				l.has(l.in(name, "ip route; ip -6 route show default"), "default via "+g)
			}
			l.has(l.in(name, "cat /etc/resolv.conf"), "search containers", "nameserver "+l.lease(name).Links[0].Gateways[0])
		}
	}
}

// TestKillAttached kills berth, shims and systemd-nspawn of networked guests at
// random moments. Nothing may be left on the host's network.
func TestKillAttached(t *testing.T) {
	l := newLan(t)
	l.card("lan", "02:00:00:00:09:01", "192.0.2.1/24")
	before := l.links()
	k := newKiller(t, tiny(), 77)
	k.env, k.binary = l.env, l.binary
	k.extra = []string{"privateNetwork=true", "interfaces=[lan]", "networks=[default]", "extraVeths.db.hostAddress=10.6.0.1", "extraVeths.db.localAddress=10.6.0.2"}
	k.rounds(number(t, "BERTH_TEST_KILLS", 100))
	k.try("stop", victim)
	k.try("destroy", victim, "--yes")
	k.run("doctor", "--fix")
	is(t, "the host's network afterwards", l.links(), before)
}
