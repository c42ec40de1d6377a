package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// place is a network namespace of the test, which ends with it.
type place struct {
	*Namespace
	t *testing.T
}

func newPlace(t *testing.T) place {
	t.Helper()
	files, errs := make(chan *os.File), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		f, openErr := os.Open("/proc/thread-self/ns/net")
		errs <- errors.Join(err, openErr)
		files <- f
	}()
	must(t, <-errs)
	f := <-files
	n, err := In(f)
	must(t, errors.Join(err, f.Close()))
	t.Cleanup(func() { must(t, n.Close()) })
	return place{n, t}
}

// run runs a command there and returns what it writes.
func (p place) run(command string) string {
	p.t.Helper()
	cmd := exec.Command("nsenter", "--net=/proc/self/fd/3", "sh", "-euc", command)
	cmd.ExtraFiles = []*os.File{p.file}
	b, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", command, err, b)
	}
	return strings.TrimSpace(string(b))
}

func (p place) has(command string, want ...string) {
	p.t.Helper()
	got := p.run(command)
	for _, w := range want {
		if !strings.Contains(got, w) {
			p.t.Errorf("%s: no %q in:\n%s", command, w, got)
		}
	}
}

// reaches asserts that an address answers: that nobody listens there.
func (p place) reaches(address string) {
	p.t.Helper()
	p.has("timeout 5 bash -c ': </dev/tcp/"+address+"/9' 2>&1 || true", "Connection refused")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mac(t *testing.T, s string) net.HardwareAddr {
	t.Helper()
	m, err := net.ParseMAC(s)
	must(t, err)
	return m
}

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// TestWithoutIPv6: where new interfaces have no IPv6, those that are to have
// addresses of it get them, and no others have any.
func TestWithoutIPv6(t *testing.T) {
	t.Parallel()
	host, guest := newPlace(t), newPlace(t)
	for _, p := range []place{host, guest} {
		p.run("cd /proc/sys/net/ipv6/conf; echo 1 >all/disable_ipv6; echo 1 >default/disable_ipv6")
	}
	must(t, host.MakeBridge(Bridge{Name: "berth0", MAC: mac(t, "02:00:00:00:00:01"), Addresses: prefixes("10.9.0.1/24", "fd00:9::1/64")}))
	must(t, host.MakeBridge(Bridge{Name: "berth1", MAC: mac(t, "02:00:00:00:00:02"), Addresses: prefixes("10.8.0.1/24")}))
	must(t, guest.MakeVeth(Veth{Inner: "eth0", Outer: "ve-a", InnerMAC: mac(t, "02:00:00:00:01:0a"), OuterMAC: mac(t, "fe:00:00:00:01:0a")}, host.Namespace))
	must(t, errors.Join(host.Enslave("ve-a", "berth0"), host.Up("ve-a")))
	must(t, errors.Join(guest.SetAddresses("eth0", prefixes("fd00:9::2/64")), guest.Up("eth0"), guest.SetGateway("eth0", netip.MustParseAddr("fd00:9::1"))))
	guest.reaches("fd00:9::1")
	host.has("cd /proc/sys/net/ipv6/conf; cat berth1/disable_ipv6 all/disable_ipv6 default/disable_ipv6 | tr '\\n' ' '", "1 1 1")
}

// TestBridge has two guests reach each other and the host, by both families,
// as soon as their interfaces are set up.
func TestBridge(t *testing.T) {
	t.Parallel()
	host := newPlace(t)
	b := Bridge{Name: "berth0", MAC: mac(t, "02:00:00:00:00:01"), Addresses: prefixes("10.9.0.1/24", "fd00:9::1/64"), Mark: Mark{"berth", []string{"berth-bridge-default"}}}
	for range 2 {
		must(t, host.MakeBridge(b))
	}
	host.has("ip -d addr show berth0", "02:00:00:00:00:01", "10.9.0.1/24", "fd00:9::1/64", "alias berth", "altname berth-bridge-default", "mcast_snooping 0", "UP")
	host.has("cat /proc/sys/net/ipv6/conf/berth0/accept_ra", "0")
	var guests []place
	for i, name := range []string{"ve-a", "ve-b"} {
		g := newPlace(t)
		guests = append(guests, g)
		v := Veth{Inner: "eth0", Outer: name, InnerMAC: mac(t, "02:00:00:00:01:0"+name[3:]), OuterMAC: mac(t, "fe:00:00:00:01:0"+name[3:]),
			Mark: Mark{"berth/" + name, []string{"berth-link-" + name}}}
		must(t, g.MakeVeth(v, host.Namespace))
		host.has("ip link show "+name, "state DOWN", "altname berth-link-"+name, "fe:00:00:00:01:0"+name[3:])
		must(t, host.Enslave(name, "berth0"))
		must(t, host.Bind(name, v.InnerMAC))
		must(t, host.Up(name))
		must(t, g.Quieten("eth0"))
		last := string("23"[i])
		must(t, g.SetAddresses("eth0", prefixes("10.9.0."+last+"/24", "fd00:9::"+last+"/64")))
		must(t, g.Up("eth0"))
		for range 2 {
			must(t, g.SetGateway("eth0", netip.MustParseAddr("10.9.0.1")))
			must(t, g.SetGateway("eth0", netip.MustParseAddr("fd00:9::1")))
		}
		g.has("ip addr show eth0", v.InnerMAC.String(), "10.9.0."+last+"/24", "fd00:9::"+last+"/64")
		g.has("ip route; ip -6 route", "default via 10.9.0.1 dev eth0", "default via fd00:9::1 dev eth0")
		if got := g.run("ip -o addr show scope global tentative | grep -v LOOPBACK || true"); got != "" {
			t.Errorf("addresses that cannot be used yet: %s", got)
		}
		if got := host.run("ip -6 addr show " + name); got != "" {
			t.Errorf("the host has addresses on a port: %s", got)
		}
	}
	for _, to := range []string{"10.9.0.1", "fd00:9::1", "10.9.0.3", "fd00:9::3"} {
		guests[0].reaches(to)
	}
	for _, name := range []string{"ve-a", "berth-link-ve-b"} {
		if gone, err := host.Remove(name, "berth/web", nil); gone || err != nil {
			t.Errorf("somebody else's interface: %v, %v", gone, err)
		}
	}
	for _, want := range []bool{true, false} {
		if gone, err := host.Remove("ve-a", "berth/ve-a", nil); gone != want || err != nil {
			t.Errorf("removed %v, want %v: %v", gone, want, err)
		}
	}
	if got := guests[0].run("ip -o link | wc -l"); got != "1" {
		t.Errorf("the guest still has its side")
	}
}

// TestBind has the host send to a guest that is always silent, while another one
// listens to what is not for it.
func TestBind(t *testing.T) {
	t.Parallel()
	host := newPlace(t)
	must(t, host.MakeBridge(Bridge{Name: "berth0", MAC: mac(t, "02:00:00:00:00:01"), Addresses: prefixes("10.9.0.1/24"), Mark: Mark{Owner: "berth"}}))
	var guests []place
	for _, last := range []string{"2", "3"} {
		g, inner := newPlace(t), mac(t, "02:00:00:00:01:0"+last)
		guests = append(guests, g)
		must(t, g.MakeVeth(Veth{Inner: "eth0", Outer: "ve-" + last, InnerMAC: inner, Mark: Mark{Owner: "berth"}}, host.Namespace))
		g.run("echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip link set eth0 arp off promisc on up")
		must(t, host.Enslave("ve-"+last, "berth0"))
		for range 2 {
			must(t, host.Bind("ve-"+last, inner))
		}
		must(t, host.Up("ve-"+last))
		must(t, host.SetNeighbour("berth0", netip.MustParseAddr("10.9.0."+last), inner))
	}
	const many = 100 // more than the host says to groups
	host.run(fmt.Sprintf("bash -c 'for ((i = 0; i < %d; i++)); do echo secret >/dev/udp/10.9.0.2/9; done'", many))
	for i, g := range guests {
		heard, err := strconv.Atoi(g.run(`awk '$1 == "eth0:" {print $3}' /proc/net/dev`))
		must(t, err)
		if (heard >= many) != (i == 0) {
			t.Errorf("guest %d hears %d packets, of %d for the first", i, heard, many)
		}
	}
}

func TestBridgeOfOthers(t *testing.T) {
	t.Parallel()
	host := newPlace(t)
	host.run("ip link add berth0 type bridge; ip link set berth0 up; ip link add v type veth peer name w")
	for _, name := range []string{"berth0", "v"} {
		if err := host.MakeBridge(Bridge{Name: name, Mark: Mark{Owner: "berth"}}); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that was left half made.
	half := Bridge{Name: "berth1", MAC: mac(t, "02:00:00:00:00:11"), Mark: Mark{Owner: "berth"}}
	const begin = "ip link add berth1 address 02:00:00:00:00:11 type bridge"
	host.run(begin)
	must(t, host.MakeBridge(half))
	host.has("ip link show berth1", "alias berth", "UP")
	remove := func(want bool) {
		if gone, err := host.Remove(half.Name, half.Mark.Owner, half.MAC); gone != want || err != nil {
			t.Errorf("removed %v, want %v: %v", gone, want, err)
		}
	}
	remove(true)
	remove(false)
	host.run(begin)
	remove(true)
	host.run(begin + "; ip link set berth1 alias theirs")
	remove(false)
	host.has("ip link show berth1", "alias theirs")
	if _, err := host.Owner("nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an interface that is not there: %v", err)
	}
}

// TestPair is a link between host and guest alone, of one name on both sides.
func TestPair(t *testing.T) {
	t.Parallel()
	host, guest := newPlace(t), newPlace(t)
	must(t, guest.MakeVeth(Veth{Inner: "db", Outer: "db", Mark: Mark{Owner: "berth/web"}}, host.Namespace))
	must(t, host.Quieten("db"))
	must(t, host.SetAddresses("db", prefixes("10.9.1.1/32")))
	must(t, host.Up("db"))
	must(t, host.SetRoute("db", netip.MustParsePrefix("10.9.1.2/32")))
	must(t, host.SetRoute("db", netip.MustParsePrefix("fd00:9:1::2/128")))
	must(t, guest.SetAddresses("db", prefixes("10.9.1.2/32", "fd00:9:1::2/128")))
	must(t, guest.Up("db"))
	must(t, guest.SetGateway("db", netip.MustParseAddr("10.9.1.1")))
	host.reaches("10.9.1.2")
	host.run("until ip -6 addr show dev db scope link | grep -q fe80; do sleep 0.01; done") // which the kernel gives it some time after its carrier
	host.reaches("fd00:9:1::2")
	guest.reaches("10.9.1.1")
	if err := guest.MakeVeth(Veth{Inner: "eth1", Outer: "db", Mark: Mark{Owner: "berth/web"}}, host.Namespace); err == nil {
		t.Error("a name that is taken on the host")
	}
	if got := guest.run("ip -o link | wc -l"); got != "2" {
		t.Errorf("a pair that could not be made is left: %s", guest.run("ip link"))
	}
}

func TestMacvlan(t *testing.T) {
	t.Parallel()
	host, guest := newPlace(t), newPlace(t)
	host.run("ip link add eno1 type veth peer name far; ip link set eno1 up; ip link set far up")
	must(t, guest.MakeMacvlan("mv-eno1", mac(t, "02:00:00:00:02:01"), "eno1", host.Namespace))
	guest.has("ip -d link show mv-eno1", "macvlan mode bridge", "02:00:00:00:02:01")
	if err := guest.MakeMacvlan("mv-no", nil, "nothing", host.Namespace); !errors.Is(err, ErrNotFound) {
		t.Errorf("on nothing: %v", err)
	}
}

// TestMove lends an interface, which comes back as it was whatever it is
// called meanwhile.
func TestMove(t *testing.T) {
	t.Parallel()
	host, guest := newPlace(t), newPlace(t)
	host.run("ip link add eno1 type veth peer name far; ip link set eno1 address 02:00:00:00:03:01; ip addr add 10.9.3.1/24 brd + dev eno1; ip addr add fd00:9:3::1/64 dev eno1 nodad; ip link set eno1 up; ip link set far up")
	before := host.run("ip -o addr show dev eno1 scope global | sed 's/^[0-9]*://'")
	was, err := host.Look("eno1")
	must(t, err)
	must(t, host.Move("eno1", guest.Namespace, "lan"))
	guest.run("ip link set lan up; ip link set lan down; ip link set lan name odd; ip addr add 10.9.3.9/24 dev odd")
	name, err := guest.Find(was)
	must(t, err)
	if name != "odd" {
		t.Fatalf("it is called %q", name)
	}
	must(t, guest.Move(name, host.Namespace, "eno1"))
	for range 2 {
		must(t, host.Restore("eno1", was))
	}
	if after := host.run("ip -o addr show dev eno1 scope global | sed 's/^[0-9]*://'"); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
	host.has("ip link show eno1", "UP")
	if name, err := guest.Find(was); name != "" || err != nil {
		t.Errorf("still in the guest: %q, %v", name, err)
	}
	if err := host.Move("lo", guest.Namespace, "lo"); err == nil {
		t.Error("the loopback interface was moved")
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	own, err := Own()
	must(t, err)
	defer own.Close()
	again, err := Own()
	must(t, err)
	defer again.Close()
	if !own.Same(again) || own.Same(newPlace(t).Namespace) {
		t.Error("namespaces are told apart wrongly")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer f.Close()
	if _, err := In(f); err == nil {
		t.Error("a file was taken for a namespace")
	}
}
