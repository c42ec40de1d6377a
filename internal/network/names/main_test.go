package names

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/networktest"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/sysctl"
)

// program is this one, which then is `berth names`.
const program = "/proc/self/exe"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[3] == "names" {
		os.Exit(play(state.Paths{Root: os.Args[2]}, len(os.Args) > 4))
	}
	os.Exit(networktest.Main(m))
}

func play(paths state.Paths, inherited bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	h, err := cgroup.Mounted()
	if err == nil {
		err = Run(ctx, HostOptions(paths, slog.New(slog.NewTextHandler(os.Stderr, nil))), h, inherited)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// lab is a root with one network and a guest's place on it.
type lab struct {
	paths   state.Paths
	cgroups cgroup.Hierarchies
	guest   networktest.Namespace
	number  int // of the network: 10.NUMBER.0.0/24
}

func newLab(t *testing.T, number int) *lab {
	t.Helper()
	h, err := cgroup.Mounted()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{paths: state.Paths{Root: t.TempDir()}, cgroups: h, guest: networktest.New(t), number: number}
	for _, d := range []string{l.paths.Leases(), l.paths.Networks(), filepath.Join(l.paths.Root, "etc")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"hosts": "127.0.0.1 localhost\n", "resolv.conf": ""} {
		if err := os.WriteFile(filepath.Join(l.paths.Root, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n := network.Network{Name: "net", Bridge: fmt.Sprintf("br%d", number), Subnet: netip.MustParsePrefix(l.address(0) + "/24")}
	if err := state.WriteRuntimeJSON(l.paths.Network("net"), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.removeAll(t)
		l.awaitEnd(t)
		if err := sysctl.Return(context.Background(), l.paths.Instance()); err != nil { // as who takes a lease down does
			t.Error(err)
		}
	})
	return l
}

func (l *lab) address(host int) string { return fmt.Sprintf("10.%d.0.%d", l.number, host) }

// connect makes the bridge, and links the guest to it.
func (l *lab) connect(t *testing.T) {
	t.Helper()
	bridge, veth := fmt.Sprintf("br%d", l.number), fmt.Sprintf("ve%d", l.number)
	networktest.IP(t, "link", "add", bridge, "type", "bridge")
	t.Cleanup(func() { networktest.IP(t, "link", "del", bridge); networktest.IP(t, "link", "del", veth) })
	networktest.IP(t, "addr", "add", l.address(1)+"/24", "dev", bridge)
	networktest.IP(t, "link", "set", bridge, "up")
	networktest.IP(t, "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(l.guest.PID))
	networktest.IP(t, "link", "set", veth, "master", bridge, "up")
	for _, words := range [][]string{{"addr", "add", l.address(2) + "/24", "dev", "eth0"}, {"link", "set", "eth0", "up"}} {
		if out, err := l.guest.Run(t, append([]string{"ip"}, words...)...); err != nil {
			t.Fatal(out, err)
		}
	}
}

// lease gives a container an address.
func (l *lab) lease(t *testing.T, name container.Name, host int, aliases ...string) {
	t.Helper()
	err := state.WriteRuntimeJSON(l.paths.Lease(name), network.Lease{Name: name, Aliases: aliases, Attached: true, Links: []network.Link{
		{Kind: network.Bridged, Network: "net", Addresses: []netip.Prefix{netip.MustParsePrefix(l.address(host) + "/24")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lab) removeAll(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(l.paths.Leases() + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Error(err)
		}
	}
}

func (l *lab) ensure(t *testing.T) {
	t.Helper()
	if err := Ensure(t.Context(), l.paths, l.cgroups, program); err != nil {
		t.Fatal(err)
	}
}

// ask gives the guest's answer for a name: an address, or what went wrong.
func (l *lab) ask(t *testing.T, name string) (got string) {
	t.Helper()
	err := l.guest.In(t, func() error {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		c := dns.Client{Timeout: 200 * time.Millisecond}
		reply, _, err := c.Exchange(m, l.address(1)+":53")
		switch {
		case err != nil:
			return err
		case len(reply.Answer) == 1:
			got = reply.Answer[0].(*dns.A).A.String()
		default:
			got = dns.RcodeToString[reply.Rcode]
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return got
}

// within asks until the answer is the one that is wanted, and fails where that
// takes longer than the limit.
func (l *lab) within(t *testing.T, limit time.Duration, name, want string) {
	t.Helper()
	begun := time.Now()
	got := l.ask(t, name)
	for got != want && time.Since(begun) < limit {
		got = l.ask(t, name)
	}
	if got != want {
		t.Errorf("after %v %s is %s, not %s", limit, name, got, want)
	}
}

// process is the one that serves.
func (l *lab) process(t *testing.T) Status {
	t.Helper()
	st, err := ReadStatus(l.paths)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// awaitEnd waits until nothing is left of the process, which has no leases.
func (l *lab) awaitEnd(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lock, err := state.AwaitLock(ctx, lockFile(l.paths))
	if err != nil {
		t.Fatalf("it still serves: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	left := Leftovers(l.paths, l.cgroups)
	for ; left != "" && ctx.Err() == nil; left = Leftovers(l.paths, l.cgroups) { // a process that was killed is in its group for a moment
	}
	if left != "" {
		t.Errorf("%s is left", left)
	}
}
