package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/namespace"
)

// TestRules puts leases in place in a network namespace of its own, has others
// ruin that, and takes them down. Nothing is left then.
func TestRules(t *testing.T) {
	t.Parallel()
	leases := map[container.Name]Lease{}
	r := Rules{
		Instance: "berth-01234567",
		Leases: func() (out []Lease, err error) {
			for _, l := range leases {
				out = append(out, l)
			}
			return out, nil
		},
		Network: func(name string) (Network, error) {
			if name != "berth" {
				return Network{}, fmt.Errorf("there is none")
			}
			return Network{Name: name, Bridge: "berth0", NAT: true, Subnet: netip.MustParsePrefix("10.88.0.0/24"), Subnet6: netip.MustParsePrefix("fd88::/64")}, nil
		},
	}
	a := Lease{Name: "a", AllowHost: []container.HostPort{{Protocol: "tcp", First: 5432, Last: 5432}},
		Links: []Link{{Kind: Bridged, Host: "ve-a", Bridge: "berth0", Network: "berth", MAC: "02:00:00:00:00:01", Addresses: []netip.Prefix{netip.MustParsePrefix("10.88.0.2/24")}}},
		Ports: []Port{{Protocol: "tcp", First: 80, Last: 81, To: 8080, Guest: []netip.Addr{netip.MustParseAddr("10.88.0.2")}}}}
	b := Lease{Name: "b", Links: []Link{
		{Kind: Point, Host: "ve-b", Gateways: []netip.Addr{netip.MustParseAddr("10.1.0.1")}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.2/32")},
			HostAddresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/32")}},
		{Kind: Macvlan, Host: "eth0"}}}
	c := Lease{Name: "c", Links: []Link{{Kind: Moved, Host: "eth1"}}}
	err := namespace.Unshared(unix.CLONE_NEWNET, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0); err != nil { // it is the machine's at first
			return err
		}
		add := func(l Lease) error { leases[l.Name] = l; return r.Add(t.Context(), l) }
		remove := func(l Lease) error { // the file of the lease goes last
			err := r.Remove(t.Context(), l)
			delete(leases, l.Name)
			return err
		}
		if err := errors.Join(add(c), expect("0")); err != nil {
			return err
		}
		if err := errors.Join(add(a), add(b), add(a), expect("1", "10.88.0.2 . 8081", `"ve-b" . "ve-b"`, `"berth0" . 10.88.0.1`, "tcp . 5432")); err != nil {
			return err
		}
		mends := func(want bool) error {
			if mended, err := r.mend(); err != nil || mended != want {
				return fmt.Errorf("mended: %v, %w", mended, err)
			}
			return nil
		}
		more := a
		more.Ports = append(slices.Clone(a.Ports), Port{Protocol: "udp", First: 53, Last: 53, To: 53, Listen: netip.MustParseAddr("192.0.2.1"), Guest: a.Ports[0].Guest})
		leases["a"] = more
		if err := errors.Join(r.Update(t.Context(), a, more), expect("1", "192.0.2.1 . udp . 53 : 10.88.0.2 . 53")); err != nil {
			return err
		}
		if traffic, err := r.Traffic(more); err != nil || len(traffic) != 2 || traffic[0].In.Packets != 0 {
			return fmt.Errorf("%+v, %v", traffic, err)
		}
		if err := exec.Command("nft", "flush", "table", "inet", r.Instance).Run(); err != nil {
			return err
		}
		if err := errors.Join(mends(true), mends(false)); err != nil {
			return err
		}
		if err := exec.Command("nft", "flush", "ruleset").Run(); err != nil {
			return err
		}
		if err := errors.Join(mends(true), expect("1", "192.0.2.1 . udp . 53", `"ve-b" . "ve-b"`)); err != nil {
			return err
		}
		if err := errors.Join(remove(more), expect("1", `"ve-b" . "ve-b"`)); err != nil {
			return err
		}
		if err := errors.Join(remove(b), remove(c), remove(a), mends(false), expect("0")); err != nil {
			return err
		}
		if err := add(a); err != nil {
			return err
		}
		r.Network = func(string) (Network, error) { return Network{}, os.ErrNotExist }
		if err := errors.Join(remove(a), expect("0")); err != nil {
			return err
		}
		out, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
		if len(out) > 0 || err != nil {
			return fmt.Errorf("left behind: %s (%v)", out, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// expect wants the host to forward or not, and texts among its rules.
func expect(forwards string, texts ...string) error {
	rules, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	errs := []error{err}
	for _, text := range texts {
		if !strings.Contains(string(rules), text) {
			errs = append(errs, fmt.Errorf("there is no %q in:\n%s", text, rules))
		}
	}
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		b, err := os.ReadFile("/proc/sys/net/" + name)
		if err != nil || strings.TrimSpace(string(b)) != forwards {
			errs = append(errs, fmt.Errorf("%s is %s (%v)", name, b, err))
		}
	}
	return errors.Join(errs...)
}
