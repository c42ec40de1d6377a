package survey

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNetwork runs f in a network namespace of its own, whose thread ends with
// it.
func inNetwork(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is thrown away
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	inNetwork(t, func() {
		m, err := Open()
		if err != nil {
			t.Error(err)
			return
		}
		defer m.Close()
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br7"}}
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "d0"}, PeerName: "d1"}
		for _, l := range []netlink.Link{bridge, pair} {
			if err := netlink.LinkAdd(l); err != nil {
				t.Error(err)
				return
			}
			if err := netlink.LinkSetUp(l); err != nil {
				t.Error(err)
			}
		}
		if err := netlink.LinkSetMaster(pair, bridge); err != nil {
			t.Error(err)
		}
		a, _ := netlink.ParseAddr("10.7.0.9/24")
		if err := netlink.AddrAdd(bridge, a); err != nil {
			t.Error(err)
		}
		_, far, _ := net.ParseCIDR("10.8.0.0/16")
		if err := netlink.RouteAdd(&netlink.Route{Dst: far, Table: 77, LinkIndex: bridge.Index}); err != nil {
			t.Error(err)
		}
		_, nowhere, _ := net.ParseCIDR("10.9.0.0/16")
		if err := netlink.RouteAdd(&netlink.Route{Dst: nowhere, Type: unix.RTN_BLACKHOLE}); err != nil {
			t.Error(err)
		}
		ranges, err := m.Ranges()
		if err != nil {
			t.Error(err)
		}
		for _, want := range []Range{{netip.MustParsePrefix("10.7.0.0/24"), "br7"}, {netip.MustParsePrefix("10.8.0.0/16"), "br7"}, {netip.MustParsePrefix("10.9.0.0/16"), ""}} {
			if !slices.Contains(ranges, want) {
				t.Errorf("%v is not in %v", want, ranges)
			}
		}
		if addresses, err := m.Addresses(); err != nil || addresses[netip.MustParseAddr("10.7.0.9")] != "br7" {
			t.Errorf("%v, %v", addresses, err)
		}
		if i, err := m.Interface("br7"); err != nil || i == nil || !i.Bridge {
			t.Errorf("%+v, %v", i, err)
		}
		if i, err := m.Interface("d0"); err != nil || i == nil || i.Bridge || i.Master != "br7" {
			t.Errorf("%+v, %v", i, err)
		}
		if i, err := m.Interface("none"); err != nil || i != nil {
			t.Errorf("%+v, %v", i, err)
		}
	})
}

// TestListeners finds this test's own sockets, and that it is this process
// which has them.
func TestListeners(t *testing.T) {
	t.Parallel()
	inNetwork(t, func() {
		lo, err := netlink.LinkByName("lo")
		if err != nil || netlink.LinkSetUp(lo) != nil {
			t.Error("loopback", err)
		}
		var config net.ListenConfig
		for _, network := range []string{"tcp4 127.0.0.1:0", "tcp4 0.0.0.0:0", "tcp6 [::1]:0", "tcp [::]:0"} {
			kind, address, _ := strings.Cut(network, " ")
			l, err := config.Listen(context.Background(), kind, address)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			check(t, "tcp", l.Addr().String())
		}
		u, err := config.ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer u.Close()
		check(t, "udp", u.LocalAddr().String())
	})
}

func check(t *testing.T, protocol, address string) {
	want := netip.MustParseAddrPort(address)
	all, err := Listeners()
	i := slices.IndexFunc(all, func(l Listener) bool { return l.Protocol == protocol && l.Address == want })
	if err != nil || i < 0 {
		t.Errorf("%s %v is not in %v (%v)", protocol, want, all, err)
		return
	}
	if holder, name := all[i].Holder(), comm(t); !strings.HasPrefix(holder, name+" (PID ") {
		t.Errorf("%s has it, not %s", holder, name)
	}
}

func comm(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(b))
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		listens, asked string // "" for any
		want           bool
	}{
		{"0.0.0.0", "", true}, {"0.0.0.0", "10.0.0.1", true}, {"0.0.0.0", "::1", false},
		{"::", "10.0.0.1", true}, {"::", "::1", true}, {"127.0.0.1", "10.0.0.1", false}, {"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "", true}, {"::ffff:127.0.0.1", "127.0.0.1", true},
	} {
		asked, _ := netip.ParseAddr(c.asked)
		l := Listener{Address: netip.AddrPortFrom(netip.MustParseAddr(c.listens), 80)}
		if got := l.Answers(asked); got != c.want {
			t.Errorf("%s answers %q: %v", c.listens, c.asked, got)
		}
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add([]byte("   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1\n"))
	f.Add([]byte("   0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseSockets(b, "tcp", "0A")
		for _, l := range list {
			if err == nil && !l.Address.Addr().IsValid() {
				t.Errorf("%+v", l)
			}
		}
	})
}

// TestHousemates: a process that is in no PID namespace of its own is no guest.
func TestHousemates(t *testing.T) {
	t.Parallel()
	for _, pid := range []int{os.Getpid(), 1 << 30} {
		if got := Housemates(pid); got != nil {
			t.Errorf("with %d live %v", pid, got)
		}
	}
}
