package network

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// TestUpdate gives a guest that runs other ports: in its lease and in the
// kernel, in a network namespace of the test's own.
func TestUpdate(t *testing.T) {
	t.Parallel()
	paths := state.Paths{Root: t.TempDir()}
	for _, n := range someNetworks() {
		if err := WriteNetwork(paths, n); err != nil {
			t.Fatal(err)
		}
	}
	l := leaseFor(t, "web", forwarding("tcp", 80, 80, ""))
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread is thrown away
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		updated(t, paths, l)
	}()
	<-done
}

func updated(t *testing.T, paths state.Paths, l Lease) {
	if err := Update(t.Context(), paths, l); err != nil {
		t.Errorf("without a lease: %v", err)
	}
	if _, err := os.Stat(paths.Lease("web")); err == nil {
		t.Error("an update made a lease")
	}
	if err := rulesOf(paths).Add(t.Context(), l); err != nil {
		t.Error(err)
	}
	if err := writeLease(paths, l); err != nil {
		t.Error(err)
	}
	s := container.DefaultSpec()
	s.PrivateNetwork, s.Aliases = true, []string{"www"}
	forwarding("udp", 8000, 8010, "")(&s)
	next, err := l.With(s)
	if err != nil {
		t.Error(err)
	}
	for range 2 { // it can be repeated
		if err := Update(t.Context(), paths, next); err != nil {
			t.Error(err)
		}
	}
	have, err := ReadLease(paths, "web")
	if err != nil || len(have.Ports) != 1 || have.Ports[0].First != 8000 || len(have.Aliases) != 1 || len(have.Links) != 1 {
		t.Errorf("%+v, %v", have, err)
	}
	traffic, err := PortTraffic(paths, "web")
	if err != nil || len(traffic) != 1 || traffic[0].Port.Protocol != "udp" {
		t.Errorf("%+v, %v", traffic, err)
	}
	n := someNetworks()["default"]
	n.Isolated = true
	if err := Change(t.Context(), paths, n); err != nil {
		t.Error(err)
	}
	if got, err := readNetwork(paths, "default"); err != nil || !got.Isolated {
		t.Errorf("%+v, %v", got, err)
	}
	if err := rulesOf(paths).Remove(t.Context(), have); err != nil {
		t.Error(err)
	}
}

// TestFlooding names the guests that the firewall has noted, by their links of
// either kind.
func TestFlooding(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if got := said(m.command("flooding", "", nil)).Error(); got != "[]" {
		t.Errorf("without rules: %s", got)
	}
	must(t, m.attach(bridged("a", "2"), netns(t)))
	must(t, m.attach(bridged("b", "3"), netns(t)))
	point := Lease{Name: "p", Links: []Link{{Kind: Point, Host: "ve-p", Guest: "eth0", MAC: "02:00:00:00:00:09",
		Addresses: prefixes("10.7.0.2/32"), HostAddresses: prefixes("10.7.0.1/32"), Gateways: addrs("10.7.0.1")}}}
	must(t, m.attach(point, netns(t)))
	for _, noted := range []struct{ set, element, want string }{{"full-macs", "02:00:00:00:00:03", "[b]"}, {"full-links", `"ve-p"`, "[b p]"}} {
		m.in(m.netns, fmt.Sprintf("nft 'add element inet %s %s { %s }'", m.paths.Instance(), noted.set, noted.element))
		if got := said(m.command("flooding", "", nil)).Error(); got != noted.want {
			t.Errorf("%s, not %s: %s", got, noted.want, m.in(m.netns, "nft list set inet "+m.paths.Instance()+" "+noted.set))
		}
	}
}

// TestRenew has somebody switch off forwarding while a guest runs, and after the
// last one.
func TestRenew(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	renews := func(when, want string) {
		t.Helper()
		m.in(m.netns, "sysctl -qw net.ipv4.ip_forward=0")
		if got := said(m.command("renew", "", nil)).Error(); got != want {
			t.Errorf("%s: %s, not %s", when, got, want)
		}
		if got := m.in(m.netns, "sysctl -n net.ipv4.ip_forward"); got == "1" != (want != "[]") {
			t.Errorf("%s: it is %s", when, got)
		}
	}
	renews("without guests", "[]")
	must(t, m.attach(bridged("a", "2"), netns(t)))
	renews("with one", "[net.ipv4.ip_forward=1]")
	m.detach("a")
	renews("after it", "[]")
}
