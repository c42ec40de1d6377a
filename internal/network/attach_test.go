package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// The test binary also plays berth in a network namespace of the test's, since
// Attach and Detach work in that of their process.
const roleVariable = "BERTH_NETWORK_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, state.Paths{Root: os.Args[1]}, os.Args[2]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func play(role string, paths state.Paths, arg string) error {
	ctx := context.Background()
	switch role {
	case "attach":
		var l Lease
		if err := json.Unmarshal([]byte(arg), &l); err != nil {
			return err
		}
		return Attach(ctx, paths, l, os.NewFile(3, "netns"))
	case "detach":
		return Detach(ctx, paths, container.Name(arg))
	case "flooding":
		names, err := Flooding(paths)
		return errors.Join(err, errors.New(fmt.Sprint(names)))
	case "renew":
		set, err := Renew(ctx, paths)
		return errors.Join(err, errors.New(fmt.Sprint(set)))
	}
	return errors.New("no such role")
}

// netns makes a network namespace.
func netns(t *testing.T) *os.File {
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
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine is a host of the test.
type machine struct {
	*testing.T
	paths state.Paths
	netns *os.File
}

func newMachine(t *testing.T) machine {
	t.Helper()
	m := machine{t, state.Paths{Root: t.TempDir()}, netns(t)}
	must(t, os.MkdirAll(m.paths.Networks(), 0o700))
	must(t, state.WriteJSON(m.paths.Network("default"), Network{Name: "default", Bridge: "berth0",
		Subnet: netip.MustParsePrefix("10.9.0.0/24"), Subnet6: netip.MustParsePrefix("fd00:9::/64")}))
	m.in(m.netns, "ip link set lo up")
	t.Cleanup(func() { // what a test leaves would outlive its network
		names, err := Leased(m.paths)
		must(t, err)
		for _, n := range names {
			m.detach(n)
		}
	})
	return m
}

// in runs a command in a network namespace and returns what it writes.
func (m machine) in(ns *os.File, command string) string {
	m.Helper()
	cmd := exec.Command("nsenter", "--net=/proc/self/fd/3", "sh", "-euc", command)
	cmd.ExtraFiles = []*os.File{ns}
	b, err := cmd.CombinedOutput()
	if err != nil {
		m.Fatalf("%s: %v\n%s", command, err, b)
	}
	return strings.TrimSpace(string(b))
}

// has asserts that the answer of a command contains all of these.
func (m machine) has(ns *os.File, command string, want ...string) {
	m.Helper()
	got := m.in(ns, command)
	for _, w := range want {
		if !strings.Contains(got, w) {
			m.Errorf("%s: no %q in:\n%s", command, w, got)
		}
	}
}

// command is berth at work on the host.
func (m machine) command(role, arg string, guest *os.File) *exec.Cmd {
	cmd := exec.Command("nsenter", "--net=/proc/self/fd/4", "/proc/self/exe", m.paths.Root, arg)
	cmd.Args[2], cmd.Env = os.Args[0], append(os.Environ(), roleVariable+"="+role)
	if guest == nil {
		guest = m.netns
	}
	cmd.ExtraFiles = []*os.File{guest, m.netns}
	return cmd
}

func (m machine) attach(l Lease, guest *os.File) error {
	m.Helper()
	must(m, os.MkdirAll(m.paths.Run(l.Name), 0o700))
	b, err := json.Marshal(l)
	must(m, err)
	return said(m.command("attach", string(b), guest))
}

func (m machine) detach(n container.Name) {
	m.Helper()
	must(m, said(m.command("detach", string(n), nil)))
}

func said(cmd *exec.Cmd) error {
	b, err := cmd.CombinedOutput()
	if err != nil {
		return errors.New(strings.TrimSpace(string(b)))
	}
	return nil
}

// links is what `ip` says of the host, without what carriers and the kernel
// itself change.
func (m machine) links() string {
	m.Helper()
	return m.in(m.netns, `ip -o link | sort -t: -k2 | sed -E 's/^[0-9]*: ([^ ]*): <.*[<,](UP)?[,>].* mtu ([0-9]*) .*(link.*)/\1 \2 \3 \4/'
		ip -o addr show scope global | sed 's/^[0-9]*://'; (ip -4 route show table all; ip -6 route show table all) | grep -vE '^(multicast|fe80|local fe80)' | sed 's/ linkdown//'; ip rule; ip -6 rule; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding`)
}

// clean asserts that nothing of berth is left.
func (m machine) clean(before string) {
	m.Helper()
	if after := m.links(); after != before {
		m.Errorf("-before +after\n%s", cmp.Diff(strings.Split(before, "\n"), strings.Split(after, "\n")))
	}
	if left, err := filepath.Glob(m.paths.Leases() + "/*"); err != nil || len(left) > 0 {
		m.Errorf("leases are left: %v, %v", left, err)
	}
	b, err := os.ReadFile("/proc/self/mounts")
	must(m, err)
	if strings.Contains(string(b), m.paths.Root) {
		m.Error("a namespace is still pinned")
	}
}

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// bridged is a guest on the default network.
func bridged(name, last string) Lease {
	return Lease{Name: container.Name(name), Links: []Link{{Kind: Bridged, Host: "ve-" + name, Guest: "eth0", Bridge: "berth0", Network: "default",
		MAC: MAC("02:00:00:00:00:0" + last), Addresses: prefixes("10.9.0."+last+"/24", "fd00:9::"+last+"/64"),
		Gateways: addrs("10.9.0.1", "fd00:9::1"), Resolvers: addrs("10.9.0.1")}}}
}

// TestAttach attaches two guests of the default network, one of them twice, as
// after a reboot, and takes both down.
func TestAttach(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.links()
	a, b := netns(t), netns(t)
	must(t, m.attach(bridged("a", "2"), a))
	a = netns(t)
	must(t, m.attach(bridged("a", "2"), a))
	must(t, m.attach(bridged("b", "3"), b))
	m.has(a, "ip addr show eth0; ip route; ip -6 route", "02:00:00:00:00:02", "10.9.0.2/24", "fd00:9::2/64", "default via 10.9.0.1", "default via fd00:9::1")
	m.has(a, "timeout 5 bash -c ': </dev/tcp/10.9.0.3/9' 2>&1 || true", "Connection refused")
	m.has(m.netns, "ip -d link show ve-a", "master berth0", "altname berth-link-ve-a", "alias "+m.paths.Instance()+"/a", "link/ether fe:")
	m.has(m.netns, "ip neigh show nud permanent", "10.9.0.2 dev berth0 lladdr 02:00:00:00:00:02", "fd00:9::3 dev berth0 lladdr 02:00:00:00:00:03")
	m.has(a, "ip neigh show nud permanent", "10.9.0.1 dev eth0 lladdr 02:", "fd00:9::1 dev eth0 lladdr 02:")
	l, err := ReadLease(m.paths, "a")
	must(t, err)
	if !l.Attached {
		t.Error("the lease does not say that all is in place")
	}
	m.detach("a")
	m.has(m.netns, "ip link", "berth0", "ve-b")
	if left := m.in(m.netns, "ip neigh show nud permanent"); strings.Contains(left, "::2") || !strings.Contains(left, "::3") {
		t.Errorf("the host's neighbours are %s", left)
	}
	if strings.Contains(m.in(m.netns, "ip link"), "ve-a") {
		t.Error("a is still there")
	}
	for range 2 {
		m.detach("b")
	}
	m.clean(before)
}

// TestAttachKinds has one guest with a link of each kind.
func TestAttachKinds(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.in(m.netns, `ip link add lan type veth peer name far; ip link set lan address 02:00:00:00:09:01; ip addr add 192.0.2.1/24 brd + dev lan; ip link set lan up; ip link set far up
		ip link add base type veth peer name farther; ip link set base up; ip link add br9 address 02:00:00:00:0a:01 type bridge; ip link set br9 mtu 1400 up`)
	before := m.links()
	l := bridged("web", "2")
	l.Links = append(l.Links,
		Link{Kind: Bridged, Host: "ve-web_1", Guest: "eth1", MAC: "02:00:00:00:01:02", Bridge: "br9", Addresses: prefixes("10.8.0.2/24")},
		Link{Kind: Point, Host: "ve-averylongn-ab", FullName: "ve-averylongname", Guest: "eth2", MAC: "02:00:00:00:01:03", HostAddresses: prefixes("10.7.0.1/32"), Addresses: prefixes("10.7.0.2/32"), Gateways: addrs("10.7.0.1")},
		Link{Kind: Point, Host: "db", Guest: "db", MAC: "02:00:00:00:01:04"},
		Link{Kind: Macvlan, Host: "base", Guest: "mv-base", MAC: "02:00:00:00:00:77"},
		Link{Kind: Moved, Host: "lan", Guest: "lan"})
	l.Links[2].Host = "ve-avery-longna"
	guest := netns(t)
	must(t, m.attach(l, guest))
	m.has(guest, "ip -d link", "eth1@", "mtu 1400", "eth2@", "db@", "mv-base@", "02:00:00:00:00:77", "lan@")
	m.has(guest, "timeout 5 bash -c ': </dev/tcp/10.7.0.1/9' 2>&1 || true", "Connection refused")
	m.has(m.netns, "ip -d link", "altname ve-averylongname", "master br9", "db@")
	m.has(m.netns, "ip route", "10.7.0.2 dev ve-avery-longna")
	guest.Close() // held by the pin alone
	m.detach("web")
	m.clean(before)
}

// TestAttachOpposite: guests that share the host's address, with a prefix that
// another link of the host has too, are reached each by its own link.
func TestAttachOpposite(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.in(m.netns, "ip link add lan type veth peer name far; ip link set far up; ip addr add 10.7.0.200/24 dev lan; ip link set lan up")
	before, routes := m.links(), m.in(m.netns, "ip route show 10.7.0.0/24")
	for name, last := range map[container.Name]string{"a": "2/24", "b": "3/32"} {
		guest := netns(t)
		must(t, m.attach(Lease{Name: name, Links: []Link{{Kind: Point, Host: "ve-" + string(name), Guest: "eth0", MAC: MAC("02:00:00:00:02:0" + last[:1]),
			HostAddresses: prefixes("10.7.0.1/24", "fd07::1/64"), Addresses: prefixes("10.7.0."+last, "fd07::"+last[:1]+"/128"), Gateways: addrs("10.7.0.1", "fd07::1")}}}, guest))
		for _, host := range []string{"10.7.0.1", "fd07::1"} {
			m.has(guest, "timeout 5 bash -c ': </dev/tcp/"+host+"/9' 2>&1 || true", "Connection refused")
		}
		for _, address := range []string{"10.7.0." + last[:1], "fd07::" + last[:1]} {
			m.has(m.netns, "ip route get "+address, "dev ve-"+string(name)+" ")
			m.has(m.netns, "timeout 5 bash -c ': </dev/tcp/"+address+"/9' 2>&1 || true", "Connection refused")
		}
		m.has(m.netns, "ip addr show ve-"+string(name), "10.7.0.1/24", "fd07::1/64")
	}
	if now := m.in(m.netns, "ip route show 10.7.0.0/24"); now != routes {
		t.Errorf("routes of the host are %s, not %s", now, routes)
	}
	m.detach("a")
	m.detach("b")
	m.clean(before)
}

// TestNamesOfOthers: interfaces that are somebody else's keep their names.
func TestNamesOfOthers(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.in(m.netns, "ip link add ve-a type veth peer name other; ip link add db type veth peer name dbother")
	before := m.links()
	guest := netns(t)
	must(t, m.attach(bridged("a", "2"), guest))
	l, err := ReadLease(m.paths, "a")
	must(t, err)
	host := l.Links[0].Host
	if host == "ve-a" || !strings.HasPrefix(host, "ve-") || len(host) != 15 {
		t.Errorf("the host's side is called %s", host)
	}
	m.has(m.netns, "ip link show "+host, "master berth0")
	m.detach("a")
	m.clean(before)
	err = m.attach(Lease{Name: "a", Links: []Link{{Kind: Point, Host: "db", Guest: "db", MAC: "02:00:00:00:01:04"}}}, guest)
	if err == nil || !strings.Contains(err.Error(), "interface db: another network interface has this name") {
		t.Errorf("a name of another: %v", err)
	}
	m.detach("a")
	m.clean(before)
}

// TestAttachErrors: what cannot be made says what is wrong, and leaves nothing
// when it is detached.
func TestAttachErrors(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.in(m.netns, "ip link add br8 address 02:00:00:00:0a:08 type bridge")
	before := m.links()
	for want, k := range map[string]Link{
		"hostBridge: the host has no bridge br9":          {Kind: Bridged, Host: "ve-a", Guest: "eth0", MAC: "02:00:00:00:00:09", Bridge: "br9"},
		"hostBridge: the host has no bridge lo":           {Kind: Bridged, Host: "ve-a", Guest: "eth0", MAC: "02:00:00:00:00:09", Bridge: "lo"},
		"macvlans: the host has no interface eno9":        {Kind: Macvlan, Host: "eno9", Guest: "mv-eno9"},
		"interfaces: the host has no interface eno9":      {Kind: Moved, Host: "eno9", Guest: "eno9"},
		"interfaces: the loopback interface stays":        {Kind: Moved, Host: "lo", Guest: "lo"},
		"its driver keeps it in its network namespace":    {Kind: Moved, Host: "br8", Guest: "br8"},
		"network other: open " + m.paths.Network("other"): {Kind: Bridged, Host: "ve-a", Guest: "eth0", MAC: "02:00:00:00:00:09", Bridge: "br9", Network: "other"},
	} {
		first := bridged("a", "2").Links[0]
		first.Host = "ve-first"
		first.Guest = "first"
		err := m.attach(Lease{Name: "a", Links: []Link{first, k}}, netns(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		m.detach("a")
		m.clean(before)
	}
	if err := m.attach(bridged("a", "2"), m.netns); err == nil || !strings.Contains(err.Error(), "no network namespace of its own") {
		t.Errorf("the host's own namespace: %v", err)
	}
}

// TestKilled kills Attach and Detach at random moments. Whatever was done, the
// next Attach works, and the next Detach leaves nothing.
func TestKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.in(m.netns, "ip link add lan type veth peer name far; ip link set lan address 02:00:00:00:09:01; ip addr add 192.0.2.1/24 brd + dev lan; ip link set lan up; ip link set far up")
	before := m.links()
	l := bridged("a", "2")
	l.Links = append(l.Links, Link{Kind: Point, Host: "db", Guest: "db", MAC: "02:00:00:00:01:04", HostAddresses: prefixes("10.7.0.1/32"), Addresses: prefixes("10.7.0.2/32")}, Link{Kind: Moved, Host: "lan", Guest: "lan"})
	b, err := json.Marshal(l)
	must(t, err)
	must(t, os.MkdirAll(m.paths.Run("a"), 0o700))
	kills, err := strconv.Atoi(os.Getenv("BERTH_TEST_KILLS"))
	if err != nil {
		kills = 100
	}
	var guest *os.File
	for i := range kills {
		guest = netns(t)
		cmd := m.command("attach", string(b), guest)
		if i%2 == 1 {
			must(t, m.attach(l, guest))
			cmd = m.command("detach", "a", nil)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(40))*time.Millisecond)
		victim := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...) // killed at some moment
		victim.Env, victim.ExtraFiles = cmd.Env, cmd.ExtraFiles
		_ = victim.Run()
		cancel()
		if i%3 == 0 {
			guest.Close() // it was killed, too
		}
		if i%4 == 0 {
			again := netns(t)
			must(t, m.attach(l, again))
			m.has(again, "ip route", "default via 10.9.0.1")
			again.Close()
		}
		m.detach("a")
		m.clean(before)
		guest.Close()
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
}
