package firewall

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// ns is a network namespace of a test. It lasts as long as the test holds it.
type ns struct {
	t    testing.TB
	name string
	fd   int
}

func newNS(t testing.TB, name string) *ns {
	t.Helper()
	n := &ns{t: t, name: name}
	var err error
	onThread(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
	})
	if err != nil {
		t.Fatalf("network namespace %s: %v", name, err)
	}
	t.Cleanup(func() { unix.Close(n.fd) })
	n.ip("link set lo up")
	return n
}

// onThread runs f on a thread that ends with it.
func onThread(f func()) {
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// do runs f in n. Sockets and processes that it makes stay there.
func (n *ns) do(f func()) {
	n.t.Helper()
	var err error
	onThread(func() {
		if err = unix.Setns(n.fd, unix.CLONE_NEWNET); err == nil {
			f()
		}
	})
	if err != nil {
		n.t.Fatalf("enter %s: %v", n.name, err)
	}
}

func (n *ns) run(name string, args ...string) string {
	n.t.Helper()
	var out []byte
	var err error
	n.do(func() { out, err = exec.Command(name, args...).CombinedOutput() })
	if err != nil {
		n.t.Fatalf("%s: %s %v: %v: %s", n.name, name, args, err, out)
	}
	return string(out)
}

func (n *ns) ip(args string) { n.t.Helper(); n.run("ip", strings.Fields(args)...) }

func (n *ns) set(name, value string) {
	n.t.Helper()
	var err error
	n.do(func() { err = os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
}

// plug makes a veth between n, where it is called name, and other, where it is
// eth0 with the addresses. The MAC address there ends with the byte last.
func (n *ns) plug(name string, other *ns, last byte, addresses ...string) {
	n.t.Helper()
	n.ip(fmt.Sprintf("link add %s type veth peer name eth0 address %s netns /proc/%d/fd/%d", name, mac(last), os.Getpid(), other.fd))
	for _, a := range addresses {
		other.ip("address add " + a + " dev eth0 " + nodad(a))
	}
	other.ip("link set eth0 up")
	n.ip("link set " + name + " up")
}

func nodad(address string) string {
	if strings.Contains(address, ":") {
		return "nodad"
	}
	return ""
}

func mac(last byte) net.HardwareAddr { return net.HardwareAddr{2, 0xbe, 0x27, 0, 0, last} }

// world is a host with what is around it:
//
//	near, far   other machines, each on a wire of its own, that know no routes
//	a, b        on berth0, with NAT
//	i           on berth1, isolated, with NAT
//	r           on berth2, routed; near knows the way there
//	p, q        on links of their own
//	c, f, d     on br0, which is not berth's: a machine, and two guests, the
//	            second without an address that berth knows
type world struct {
	host *ns
	all  map[string]*ns
	now  Rules
	Tables
}

// gateways are the host's addresses in the world.
var gateways = map[string][2]string{
	"eth0": {"192.0.2.1/24", "2001:db8:1::1/64"}, "eth1": {"198.51.100.1/24", "2001:db8:2::1/64"},
	"berth0": {"10.88.0.1/24", "fd88::1/64"}, "berth1": {"10.89.0.1/24", "fd89::1/64"}, "berth2": {"10.90.0.1/24", "fd90::1/64"},
	"br0": {"192.168.7.1/24", "fd07::1/64"}, "ve-p": {"10.77.0.1/32", "fd77::1/128"}, "ve-q": {"10.77.0.3/32", "fd77::3/128"},
}

// places are where the others are, by the interface on the host, or the bridge.
var places = map[string]struct {
	last       byte
	iface      string
	four, six  string
	configured bool // by berth
}{
	"near": {1, "eth0", "192.0.2.2/24", "2001:db8:1::2/64", false},
	"far":  {2, "eth1", "198.51.100.2/24", "2001:db8:2::2/64", false},
	"a":    {3, "berth0", "10.88.0.2/24", "fd88::2/64", true},
	"b":    {4, "berth0", "10.88.0.3/24", "fd88::3/64", true},
	"i":    {5, "berth1", "10.89.0.2/24", "fd89::2/64", true},
	"r":    {6, "berth2", "10.90.0.2/24", "fd90::2/64", true},
	"p":    {7, "ve-p", "10.77.0.2/32", "fd77::2/128", true},
	"q":    {8, "ve-q", "10.77.0.4/32", "fd77::4/128", true},
	"c":    {9, "br0", "192.168.7.2/24", "fd07::2/64", false},
	"f":    {10, "br0", "192.168.7.3/24", "fd07::3/64", true},
	"d":    {11, "br0", "192.168.7.4/24", "fd07::4/64", true},
}

// newWorld makes the world. What passes a bridge passes the tables inet too if
// filter is "1".
func newWorld(t testing.TB, filter string) *world {
	t.Helper()
	w := &world{host: newNS(t, "host"), all: map[string]*ns{}}
	w.Tables = Tables{Instance: "berth", All: func() (Rules, error) { return w.now, nil }}
	for _, family := range []string{"ip", "ip6"} {
		w.host.set("net/bridge/bridge-nf-call-"+family+"tables", filter)
	}
	for _, n := range []string{"net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"} {
		w.host.set(n, "0") // tests are refused more often than it allows
	}
	w.host.set("net/ipv4/ip_forward", "1")
	w.host.set("net/ipv6/conf/all/forwarding", "1")
	for _, name := range []string{"berth0", "berth1", "berth2", "br0"} {
		w.host.ip("link add " + name + " type bridge mcast_snooping 0")
		w.host.ip("link set " + name + " up")
	}
	for name, p := range places {
		n := newNS(t, name)
		w.all[name] = n
		link := p.iface
		if bridged(p.iface) {
			link = "ve-" + name
		}
		w.host.plug(link, n, p.last, p.four, p.six)
		if bridged(p.iface) {
			w.host.ip("link set " + link + " master " + p.iface)
			w.host.run("bridge", "link", "set", "dev", link, "hairpin", "on")
		}
	}
	for name, g := range gateways {
		for _, a := range g {
			w.host.ip("address add " + a + " dev " + name + " " + nodad(a))
		}
		w.host.set("net/ipv4/conf/"+name+"/route_localnet", "1")
	}
	for name, p := range places {
		n := w.all[name]
		if len(p.iface) == 4 && strings.HasPrefix(p.iface, "ve-") {
			for i, a := range []string{p.four, p.six} {
				w.host.ip("route add " + a + " dev " + p.iface)
				n.ip("route add " + gateways[p.iface][i] + " dev eth0")
			}
		}
		if name != "near" && name != "far" && name != "c" {
			n.ip("route add default via " + gateway(p.iface, 0) + " onlink dev eth0")
			n.ip("route add default via " + gateway(p.iface, 1) + " dev eth0")
		}
	}
	w.all["near"].ip("route add 198.51.100.1 via 192.0.2.1")
	w.all["near"].ip("route add 2001:db8:2::1 via 2001:db8:1::1")
	w.all["near"].ip("route add 10.90.0.0/24 via 192.0.2.1")
	w.all["near"].ip("route add fd90::/64 via 2001:db8:1::1")
	w.now = w.rules()
	return w
}

func bridged(iface string) bool { return strings.HasPrefix(iface, "b") }

func gateway(iface string, family int) string {
	a, _, _ := strings.Cut(gateways[iface][family], "/")
	return a
}

func address(name string, family int) netip.Addr {
	return netip.MustParsePrefix([2]string{places[name].four, places[name].six}[family]).Addr()
}

// rules are those of the whole world, without ports.
func (w *world) rules() Rules {
	var out Rules
	for _, bridge := range []string{"berth0", "berth1", "berth2"} {
		out.Networks = append(out.Networks, Network{Bridge: bridge, NAT: bridge != "berth2", Isolated: bridge == "berth1",
			Gateways: []netip.Addr{netip.MustParseAddr(gateway(bridge, 0)), netip.MustParseAddr(gateway(bridge, 1))}})
	}
	for _, name := range []string{"a", "b", "i", "r", "p", "q", "f", "d"} {
		out.Guests = append(out.Guests, Guest{Links: []Link{w.link(name)}})
	}
	return out
}

func (w *world) link(name string) Link {
	p := places[name]
	l := Link{Host: "ve-" + name, Bridge: p.iface, Foreign: p.iface == "br0", Isolated: p.iface == "berth1", MAC: mac(p.last),
		Addresses: []netip.Prefix{netip.MustParsePrefix(p.four), netip.MustParsePrefix(p.six)}}
	if !bridged(p.iface) {
		l.Bridge, l.NAT = "", true
		l.Gateways = []netip.Addr{netip.MustParseAddr(gateway(p.iface, 0)), netip.MustParseAddr(gateway(p.iface, 1))}
	}
	if name == "d" {
		l.Addresses = nil
	}
	return l
}

// guest changes one guest's rules.
func (w *world) guest(name string, change func(*Guest)) {
	w.host.t.Helper()
	var was, is Rules
	for i := range w.now.Guests {
		if g := &w.now.Guests[i]; g.Links[0].Host == "ve-"+name {
			was.Guests = []Guest{*g}
			change(g)
			is.Guests = []Guest{*g}
		}
	}
	w.update(was, is)
}

func (w *world) update(was, is Rules) (empty bool) {
	w.host.t.Helper()
	var err error
	w.host.do(func() { empty, err = w.Tables.Update(was, is) })
	if err != nil {
		w.host.t.Fatal(err)
	}
	return empty
}
