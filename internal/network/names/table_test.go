package names

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/dns"
)

func addresses(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range list {
		out = append(out, netip.MustParsePrefix(a))
	}
	return out
}

// three are networks of which one is isolated, with guests on them and on none.
func three() table {
	link := func(name string, list ...string) network.Link {
		return network.Link{Network: name, Addresses: addresses(list...)}
	}
	return table{
		networks: map[string]network.Network{"a": {Name: "a"}, "b": {Name: "b"}, "alone": {Name: "alone", Isolated: true}},
		leases: []network.Lease{
			{Name: "in-a", Attached: true, Links: []network.Link{link("a", "10.1.0.2/24", "fd01::2/64")}},
			{Name: "in-b", Attached: true, Links: []network.Link{link("b", "10.2.0.2/24")}},
			{Name: "in-both", Attached: true, Links: []network.Link{link("a", "10.1.0.3/24"), link("b", "10.2.0.3/24")}},
			{Name: "locked", Attached: true, Links: []network.Link{link("alone", "10.3.0.2/24")}},
			{Name: "locked-too", Attached: true, Links: []network.Link{link("alone", "10.3.0.3/24"), link("b", "10.2.0.4/24")}},
			{Name: "point", Attached: true, Links: []network.Link{link("", "192.168.9.2/24")}},
			{Name: "coming", Links: []network.Link{link("a", "10.1.0.9/24")}},
		},
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"a":       "in-a[10.1.0.2 fd01::2] in-b[10.2.0.2] in-both[10.1.0.3] locked-too[10.2.0.4] point[192.168.9.2] ",
		"b":       "in-a[10.1.0.2 fd01::2] in-b[10.2.0.2] in-both[10.2.0.3] locked-too[10.2.0.4] point[192.168.9.2] ",
		onPoint:   "in-a[10.1.0.2 fd01::2] in-b[10.2.0.2] in-both[10.1.0.3 10.2.0.3] locked-too[10.2.0.4] point[192.168.9.2] ",
		"alone":   "locked[10.3.0.2] locked-too[10.3.0.3] ",
		"alone b": "in-b[10.2.0.2] in-both[10.2.0.3] locked[10.3.0.2] locked-too[10.3.0.3 10.2.0.4] ",
		"b alone": "in-a[10.1.0.2 fd01::2] in-b[10.2.0.2] in-both[10.2.0.3] locked[10.3.0.2] locked-too[10.3.0.3 10.2.0.4] point[192.168.9.2] ",
		"": "in-a[10.1.0.2 fd01::2] in-b[10.2.0.2] in-both[10.1.0.3 10.2.0.3] locked[10.3.0.2] " +
			"locked-too[10.3.0.3 10.2.0.4] point[192.168.9.2] ",
	} {
		got := ""
		for _, h := range three().hostsFor(strings.Split(from, " ")...) {
			got += h.Names[0] + fmt.Sprint(h.Addresses) + " "
		}
		if got != want {
			t.Errorf("from %q: %s\nnot %s", from, got, want)
		}
	}
}

// TestElsewhere: who is on an isolated network and elsewhere sees both, whichever
// name server of its own it asks, and nobody else does.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	v := views{three(), nil, map[string]*dns.View{}}
	for from, want := range map[string]string{"a": "[]", "b": "[10.2.0.4]", "alone": "[10.3.0.3]"} {
		if got := fmt.Sprint(slices.Collect(maps.Keys(v.elsewhere(from)))); got != want {
			t.Errorf("%s: %s, not %s", from, got, want)
		}
	}
	l := v.leases[4]
	if got := fmt.Sprint(placesOf(l)); got != "[alone b]" {
		t.Error(got)
	}
	l.Links[1].Gateways = []netip.Addr{netip.MustParseAddr("10.2.0.1")}
	if got := fmt.Sprint(placesOf(l)); got != "[b alone]" {
		t.Errorf("with a default route: %s", got)
	}
}

func TestForwards(t *testing.T) {
	t.Parallel()
	port := func(listen string, guest ...string) network.Port {
		p := network.Port{Protocol: "tcp", First: 80, Last: 81, To: 8080}
		if listen != "" {
			p.Listen = netip.MustParseAddr(listen)
		}
		for _, g := range guest {
			p.Guest = append(p.Guest, netip.MustParseAddr(g))
		}
		return p
	}
	elsewhere := network.Link{Kind: network.Bridged, Bridge: "br0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24"), netip.MustParsePrefix("fd00::9/64")}}
	for name, c := range map[string]struct {
		port network.Port
		want string
	}{
		"all":               {port("", "10.0.0.1", "fd00::1"), "::1 [fd00::1 10.0.0.1] "},
		"v4 alone":          {port("", "10.0.0.1"), "::1 [10.0.0.1] "},
		"this":              {port("::1", "10.0.0.1"), "::1 [10.0.0.1] "},
		"all v6":            {port("::", "10.0.0.1"), "::1 [10.0.0.1] "},
		"all v4":            {port("0.0.0.0", "10.0.0.1"), ""},
		"other":             {port("192.168.1.1", "10.0.0.1"), ""},
		"no address":        {port(""), ""},
		"elsewhere":         {port("", "10.0.0.9", "fd00::9"), "::1 [fd00::9 10.0.0.9] 127.0.0.1 [10.0.0.9] "},
		"elsewhere, v4":     {port("0.0.0.0", "10.0.0.9"), "127.0.0.1 [10.0.0.9] "},
		"elsewhere, this":   {port("127.0.0.1", "10.0.0.9"), "127.0.0.1 [10.0.0.9] "},
		"elsewhere, other":  {port("127.0.0.2", "10.0.0.9"), "127.0.0.2 [10.0.0.9] "},
		"elsewhere, all v6": {port("::", "fd00::9"), "::1 [fd00::9] "},
	} {
		tab := table{leases: []network.Lease{{Name: "web", Ports: []network.Port{c.port}, Links: []network.Link{elsewhere}}}}
		got := ""
		for _, f := range tab.forwards() {
			got += fmt.Sprint(f.Address, " ", f.Guest, " ")
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestDHCP(t *testing.T) {
	t.Parallel()
	n := network.Network{Name: "a", Bridge: "br", Subnet: netip.MustParsePrefix("10.1.0.0/24"), DHCP: true}
	lease := network.Lease{Name: "my_app", Links: []network.Link{{Network: "a", MAC: "02:00:00:00:00:01", Addresses: addresses("fd00::2/64", "10.1.0.2/24"),
		Gateways: []netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("10.1.0.1")}}}}
	tab := table{leases: []network.Lease{lease}, networks: map[string]network.Network{"a": n}}
	b, err := json.Marshal(tab.dhcpNetworks(func(string) int { return 3 }))
	want := `[{"Device":"br","Index":3,"Server":"10.1.0.1","Clients":{"02:00:00:00:00:01":{"Name":"my-app","Address":"10.1.0.2/24","Gateway":"10.1.0.1","Resolvers":null,"Domain":"containers"}}}]`
	if string(b) != want || err != nil {
		t.Errorf("%s\nnot\n%s", b, want)
	}
	if got := tab.dhcpNetworks(func(string) int { return 0 }); len(got) > 0 {
		t.Errorf("without a bridge: %v", got)
	}
}

// TestEndpoints has a guest on a network, and one on a link to the host alone.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	tab := table{
		networks: map[string]network.Network{"a": {Name: "a", Bridge: "br", Subnet: netip.MustParsePrefix("10.1.0.0/24"), Subnet6: netip.MustParsePrefix("fd01::/64")}},
		leases: []network.Lease{
			{Name: "x", Links: []network.Link{{Kind: network.Bridged, Network: "a", Addresses: addresses("10.1.0.2/24")}}},
			{Name: "y", Links: []network.Link{{Kind: network.Point, Host: "ve-y", Addresses: addresses("10.7.0.2/24"), HostAddresses: addresses("10.7.0.1/24")}}},
		},
	}
	got := map[string]string{}
	for e, a := range tab.endpoints(func(name string) int { return map[string]int{"br": 3, "ve-y": 4}[name] }) {
		got[fmt.Sprint(e.Address, " ", e.Device, " ", e.Index)] = fmt.Sprint(a.Clients)
	}
	want := map[string]string{"10.1.0.1 br 3": "[10.1.0.0/24 fd01::/64]", "fd01::1 br 3": "[10.1.0.0/24 fd01::/64]", "10.1.0.1 lo 1": "[]", "fd01::1 lo 1": "[]", "10.7.0.1 ve-y 4": "[10.7.0.2/32]"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nnot\n%v", got, want)
	}
	if got := tab.endpoints(func(string) int { return 0 }); len(got) > 0 {
		t.Errorf("before there are links: %v", got)
	}
}
