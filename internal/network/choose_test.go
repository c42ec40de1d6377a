package network

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// TestChoose fills a small network: every container has an address of its own,
// keeps it, and the one too many is refused.
func TestChoose(t *testing.T) {
	t.Parallel()
	paths, networks := state.Paths{Root: "/"}, someNetworks()
	networks["small"] = Network{Name: "small", Subnet: netip.MustParsePrefix("10.3.0.0/28"), Subnet6: netip.MustParsePrefix("fd03::/124")}
	var records []state.Record
	choose := func(name container.Name) ([]state.Link, error) {
		rec := record(name, func(s *container.Spec) { s.Zone = "small" })
		return Choose(paths, rec, networks, UsedBy(records, nil, name))
	}
	seen := map[string]bool{}
	for i := range 13 { // 16 without the network's own, the host's and the last
		name := container.Name(fmt.Sprintf("c%d", i))
		links, err := choose(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range links[0].Addresses {
			if seen[a.String()] || seen[links[0].MAC] {
				t.Errorf("%s: %v is in use", name, links[0])
			}
			seen[a.String()] = true
		}
		seen[links[0].MAC] = true
		rec := record(name, func(s *container.Spec) { s.Zone = "small" })
		rec.Links = links
		records = append(records, rec)
	}
	if _, err := choose("more"); err == nil || err.Error() != "all addresses of the network small, 10.3.0.0/28, are in use" {
		t.Error(err)
	}
	for _, rec := range records {
		again, err := Choose(paths, rec, networks, UsedBy(records, nil, rec.Name))
		if err != nil || !slices.EqualFunc(again, rec.Links, func(a, b state.Link) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("%s: %v, then %v (%v)", rec.Name, rec.Links, again, err)
		}
	}
	records = records[1:]
	if links, err := choose("more"); err != nil || len(links[0].Addresses) != 2 {
		t.Errorf("after one is gone: %v, %v", links, err)
	}
}

// TestChooseRunning: an address that a guest still has is not given away,
// although no record has it.
func TestChooseRunning(t *testing.T) {
	t.Parallel()
	paths := state.Paths{Root: "/"}
	rec := record("web", func(s *container.Spec) {})
	links, err := Choose(paths, rec, someNetworks(), UsedBy(nil, nil, "web"))
	if err != nil {
		t.Fatal(err)
	}
	rec.Links = links
	lease, err := LeaseOf(paths, &rec, someNetworks())
	if err != nil {
		t.Fatal(err)
	}
	lease.Name = "other"
	again, err := Choose(paths, record("web", func(*container.Spec) {}), someNetworks(), UsedBy(nil, []Lease{lease}, "web"))
	if err != nil || again[0].Addresses[0] == links[0].Addresses[0] || again[0].Addresses[1] == links[0].Addresses[1] || again[0].MAC == links[0].MAC {
		t.Errorf("%v, and %v for the one that runs (%v)", again, links, err)
	}
}

func TestChooseFixed(t *testing.T) {
	t.Parallel()
	taken := record("db", func(s *container.Spec) { s.Zone, s.LocalAddress = "back", "10.2.0.9" })
	for text, want := range map[string]string{
		"10.2.0.7":    "",
		"10.2.0.7/24": "",
		"10.2.0.9":    "localAddress: 10.2.0.9 is that of the container db",
		"10.2.0.1":    "localAddress: 10.2.0.1 is the host's own address on the network back",
		"10.2.0.0":    "localAddress: 10.2.0.0 is not a guest's address on the network back",
		"10.2.0.255":  "localAddress: 10.2.0.255 is not a guest's address on the network back",
		"10.3.0.7":    "localAddress: 10.3.0.7 is not a guest's address on the network back",
		"10.2.0.7/16": "localAddress: the network back is 10.2.0.0/24",
	} {
		rec := record("web", func(s *container.Spec) { s.Zone, s.LocalAddress = "back", text })
		links, err := Choose(state.Paths{Root: "/"}, rec, someNetworks(), UsedBy([]state.Record{taken}, nil, "web"))
		switch {
		case want != "" && (err == nil || err.Error() != want):
			t.Errorf("%s: %v, not %s", text, err, want)
		case want == "" && (err != nil || links[0].Addresses[0].String() != "10.2.0.7"):
			t.Errorf("%s: %v, %v", text, links, err)
		}
	}
	rec := record("web", func(s *container.Spec) { s.Zone, s.LocalAddress6 = "four", "fd00::2" })
	if _, err := Choose(state.Paths{Root: "/"}, rec, someNetworks(), UsedBy(nil, nil, "web")); err == nil {
		t.Error("a network without IPv6 took an IPv6 address")
	}
}

// random is a source that is the same in each run.
func random() func() uint64 { return rand.New(rand.NewPCG(1, 2)).Uint64 }

func TestResolve(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	want := func(name, subnet, subnet6 string) Want {
		w := Want{Name: name, Bridge: "berth-" + name, Spec: container.DefaultNetworkSpec()}
		if err := w.Spec.Subnet.UnmarshalText([]byte(subnet)); err != nil {
			t.Fatal(err)
		}
		if err := w.Spec.Subnet6.UnmarshalText([]byte(subnet6)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	routes := []Route{{p("0.0.0.0/0"), "eth0"}, {p("::/0"), "eth0"}, {p("192.0.2.0/24"), "eth0"}, {p("10.5.0.0/16"), "tun0"}, {p("10.6.0.0/16"), ""}}
	have := Network{Name: "a", Bridge: "berth-a", Subnet: p("10.7.0.0/24"), Subnet6: p("fd07::/64")}
	for name, c := range map[string]struct {
		want   Want
		have   *Network
		routes []Route
		out    string // or the error
	}{
		"explicit":       {want("a", "10.8.0.0/24", "fd08::/64"), nil, routes, "10.8.0.0/24 fd08::/64"},
		"kept":           {want("a", "", ""), &have, append(routes, Route{p("10.7.0.0/24"), "eth1"}), "10.7.0.0/24 fd07::/64"},
		"changed":        {want("a", "10.8.0.0/24", ""), &have, routes, "10.8.0.0/24 fd07::/64"},
		"none":           {want("a", "none", ""), &have, routes, "invalid Prefix fd07::/64"},
		"own bridge":     {want("a", "10.7.0.0/23", ""), &have, append(routes, Route{p("10.7.0.0/24"), "berth-a"}), "10.7.0.0/23 fd07::/64"},
		"host":           {want("a", "10.5.3.0/24", ""), nil, routes, "network a: 10.5.3.0/24 overlaps 10.5.0.0/16, which the machine has on tun0"},
		"blackhole":      {want("a", "10.6.3.0/24", ""), nil, routes, "network a: 10.6.3.0/24 overlaps the machine's route to 10.6.0.0/16"},
		"other network":  {want("a", "10.2.0.0/16", ""), nil, routes, "network a: 10.2.0.0/16 overlaps those of the network back"},
		"nothing free":   {want("a", "", "fd08::/64"), nil, append(routes, Route{p("10.0.0.0/8"), "x"}, Route{p("172.16.0.0/12"), "x"}, Route{p("192.168.0.0/16"), "x"}), "network a: no subnet of private addresses is free on this machine"},
		"10/8 is routed": {want("a", "", "fd08::/64"), nil, append(routes, Route{p("10.0.0.0/8"), "x"}), "172"},
	} {
		n, err := c.want.Resolve(c.have, someNetworks(), c.routes, random())
		got := fmt.Sprint(n.Subnet, " ", n.Subnet6)
		if err != nil {
			got = err.Error()
		}
		if got != c.out && (c.out != "172" || got[:4] != "172.") {
			t.Errorf("%s: %s, not %s", name, got, c.out)
		}
	}
	n, err := want("default", "", "").Resolve(nil, nil, routes, random())
	if err != nil || n.Subnet.Bits() != 20 || n.Subnet6.Bits() != 64 || !n.NAT || !p("fd00::/8").Overlaps(n.Subnet6) {
		t.Errorf("%+v, %v", n, err)
	}
}

// FuzzResolve holds that what is chosen overlaps nothing, whatever is there.
func FuzzResolve(f *testing.F) {
	f.Add(uint64(1), []byte{10, 0, 0, 8, 172, 16, 0, 12})
	f.Add(uint64(9), []byte{10, 0, 0, 9, 192, 168, 0, 16, 10, 128, 0, 10})
	f.Fuzz(func(t *testing.T, seed uint64, b []byte) {
		var routes []Route
		for ; len(b) >= 4 && len(routes) < 50; b = b[4:] {
			routes = append(routes, Route{netip.PrefixFrom(netip.AddrFrom4([4]byte{b[0], b[1], b[2]}), int(b[3])%33).Masked(), "x"})
		}
		n, err := Want{Name: "a", Spec: container.DefaultNetworkSpec()}.Resolve(nil, someNetworks(), routes, rand.New(rand.NewPCG(seed, 0)).Uint64)
		if err != nil {
			return
		}
		for _, r := range routes {
			if r.Bits() >= wide4 && r.Overlaps(n.Subnet) {
				t.Errorf("%v overlaps %v", n.Subnet, r)
			}
		}
		for _, o := range someNetworks() {
			if o.Subnet.IsValid() && o.Subnet.Overlaps(n.Subnet) {
				t.Errorf("%v overlaps that of %s", n.Subnet, o.Name)
			}
		}
	})
}

// FuzzChoose holds that any subnet gives addresses within it, or an error.
func FuzzChoose(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0}, uint8(30), "a")
	f.Add([]byte{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(126), "b")
	f.Fuzz(func(t *testing.T, b []byte, bits uint8, name string) {
		a, ok := netip.AddrFromSlice(b)
		if !ok || a.Is4In6() || int(bits) > a.BitLen()-2 || bits == 0 {
			return
		}
		subnet := netip.PrefixFrom(a, int(bits)).Masked()
		n := Network{Name: "a", Subnet: subnet}
		rec := record(container.Name(name), func(s *container.Spec) { s.Zone = "a" })
		links, err := Choose(state.Paths{Root: "/"}, rec, Networks{"a": n}, UsedBy(nil, nil, ""))
		if err != nil || !inside(subnet, links[0].Addresses[0]) {
			t.Errorf("%v: %v, %v", subnet, links, err)
		}
	})
}
