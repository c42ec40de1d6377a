package network

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/firewall"
	"github.com/berth-containers/berth/internal/network/survey"
	"github.com/berth-containers/berth/internal/state"
)

// leaseFor is the lease of a container with nobody beside it.
func leaseFor(t *testing.T, name container.Name, change func(*container.Spec)) Lease {
	t.Helper()
	paths, rec := state.Paths{Root: "/"}, record(name, change)
	links, err := Choose(paths, rec, someNetworks(), Used{})
	if err != nil {
		t.Fatal(err)
	}
	rec.Links = links
	l, err := LeaseOf(paths, &rec, someNetworks())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// forwarding makes a change that forwards a port.
func forwarding(protocol string, first, last uint16, listen string) func(*container.Spec) {
	return func(s *container.Spec) {
		s.ForwardPorts = []container.ForwardPort{{Protocol: protocol, HostPort: container.Ports{First: first, Last: last}, HostAddress: listen}}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestBetween(t *testing.T) {
	t.Parallel()
	type spec = container.Spec
	for name, c := range map[string]struct {
		mine, theirs func(*spec)
		want         string
	}{
		"nothing":         {func(*spec) {}, func(*spec) {}, ""},
		"port":            {forwarding("tcp", 80, 80, ""), forwarding("tcp", 80, 80, ""), "forwardPorts: tcp port 80 of the host is that of the container db"},
		"range":           {forwarding("tcp", 80, 90, ""), forwarding("tcp", 85, 99, ""), "forwardPorts: tcp ports 85-90 of the host is that of the container db"},
		"protocol":        {forwarding("tcp", 80, 80, ""), forwarding("udp", 80, 80, ""), ""},
		"one address":     {forwarding("tcp", 80, 80, ""), forwarding("tcp", 80, 80, "127.0.0.1"), "forwardPorts: tcp port 80 of the host is that of the container db"},
		"two addresses":   {forwarding("tcp", 80, 80, "10.0.0.1"), forwarding("tcp", 80, 80, "127.0.0.1"), ""},
		"families":        {forwarding("tcp", 80, 80, "0.0.0.0"), forwarding("tcp", 80, 80, "::"), ""},
		"interface":       {func(s *spec) { s.Interfaces = []string{"eth1"} }, func(s *spec) { s.Interfaces = []string{"eth1"} }, "interfaces: eth1 is moved into the container db"},
		"macvlan":         {func(s *spec) { s.Macvlans = []string{"eth1"} }, func(s *spec) { s.Macvlans = []string{"eth1"} }, ""},
		"macvlan, moved":  {func(s *spec) { s.Macvlans = []string{"eth1"} }, func(s *spec) { s.Interfaces = []string{"eth1"} }, "eth1 is used by the container db too, and one of the two takes it from the host"},
		"name of a veth":  {func(s *spec) { s.ExtraVeths = map[string]container.ExtraVeth{"lan": {}} }, func(s *spec) { s.ExtraVeths = map[string]container.ExtraVeth{"lan": {}} }, "extraVeths: the container db has a link called lan on the host"},
		"address":         {func(s *spec) { s.HostBridge, s.LocalAddress = "br0", "10.9.0.2/24" }, func(s *spec) { s.HostBridge, s.LocalAddress = "br0", "10.9.0.2" }, "the address 10.9.0.2 is that of the container db"},
		"another bridge":  {func(s *spec) { s.HostBridge, s.LocalAddress = "br0", "10.9.0.2/24" }, func(s *spec) { s.HostBridge, s.LocalAddress = "br1", "10.9.0.2" }, ""},
		"MAC":             {func(s *spec) { s.LocalMacAddress = "02:00:00:00:00:08" }, func(s *spec) { s.LocalMacAddress = "02:00:00:00:00:08" }, "the hardware address 02:00:00:00:00:08 is that of the container db on the same bridge"},
		"MAC elsewhere":   {func(s *spec) { s.LocalMacAddress = "02:00:00:00:00:08" }, func(s *spec) { s.Zone, s.LocalMacAddress = "back", "02:00:00:00:00:08" }, ""},
		"opposite":        {func(s *spec) { s.HostAddress, s.LocalAddress = "10.9.0.1", "10.9.0.2" }, func(s *spec) { s.HostAddress, s.LocalAddress = "10.9.0.3", "10.9.0.2" }, "the address 10.9.0.2 is that of the container db"},
		"network":         {func(s *spec) { s.HostAddress, s.LocalAddress = "10.1.0.1", "10.1.0.7" }, func(s *spec) { s.LocalAddress = "10.1.0.7" }, "the address 10.1.0.7 is that of the container db"},
		"host's end":      {func(s *spec) { s.HostAddress, s.LocalAddress = "10.1.0.7", "10.9.0.2" }, func(s *spec) { s.LocalAddress = "10.1.0.7" }, "the address 10.1.0.7 is that of the container db"},
		"same host's end": {func(s *spec) { s.HostAddress, s.LocalAddress = "10.9.0.1", "10.9.0.2" }, func(s *spec) { s.HostAddress, s.LocalAddress = "10.9.0.1", "10.9.0.3" }, ""},
	} {
		mine, theirs := leaseFor(t, "web", c.mine), leaseFor(t, "db", c.theirs)
		if got := text(Between(mine, []Lease{mine, theirs})); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestOn(t *testing.T) {
	t.Parallel()
	type spec = container.Spec
	facts := Facts{
		Listeners: []survey.Listener{{Protocol: "tcp", Address: netip.MustParseAddrPort("127.0.0.1:80")}, {Protocol: "udp", Address: netip.MustParseAddrPort("[::]:53")}},
		Addresses: map[netip.Addr]string{netip.MustParseAddr("10.9.0.2"): "eth0"},
		Published: []firewall.Published{{Protocol: "tcp", First: 8080, Last: 8080, Address: netip.MustParseAddr("10.9.0.2"), By: "Docker"},
			{Protocol: "tcp", First: 8081, Last: 8081, Address: netip.MustParseAddr("10.96.0.1"), By: "somebody for other machines"}},
		Interface: func(name string) (*survey.Interface, error) {
			switch name {
			case "br0":
				return &survey.Interface{Name: name, Bridge: true}, nil
			case "eth0":
				return &survey.Interface{Name: name}, nil
			case "odd":
				return nil, errors.New("no answer")
			}
			return nil, nil
		},
	}
	for name, c := range map[string]struct {
		change func(*spec)
		want   string
	}{
		"nothing":       {func(*spec) {}, ""},
		"port":          {forwarding("tcp", 70, 90, ""), "forwardPorts: tcp port 80 of the host is in use by a process that cannot be seen from here"},
		"other address": {forwarding("tcp", 80, 80, "10.0.0.1"), ""},
		"udp":           {forwarding("udp", 53, 53, "10.0.0.1"), "forwardPorts: udp port 53 of the host is in use by a process that cannot be seen from here"},
		"published":     {forwarding("tcp", 8000, 9000, ""), "forwardPorts: tcp port 8080 of the host is led elsewhere by Docker"},
		"not published": {forwarding("tcp", 8080, 8080, "10.0.0.1"), ""},
		"free":          {forwarding("tcp", 81, 90, ""), ""},
		"bridge":        {func(s *spec) { s.HostBridge = "br0" }, ""},
		"no bridge":     {func(s *spec) { s.HostBridge = "br9" }, "hostBridge: the host has no bridge br9"},
		"not a bridge":  {func(s *spec) { s.HostBridge = "eth0" }, "hostBridge: eth0 is an interface of the host, but no bridge"},
		"macvlan":       {func(s *spec) { s.Macvlans = []string{"eth0"} }, ""},
		"no macvlan":    {func(s *spec) { s.Macvlans = []string{"eth9"} }, "macvlans: the host has no interface eth9"},
		"no interface":  {func(s *spec) { s.Interfaces = []string{"eth9"} }, "interfaces: the host has no interface eth9"},
		"unknown":       {func(s *spec) { s.Interfaces = []string{"odd"} }, "look at the interface odd: no answer"},
		"name":          {func(s *spec) { s.ExtraVeths = map[string]container.ExtraVeth{"eth0": {}} }, "extraVeths: the host has an interface eth0 already"},
		"address":       {func(s *spec) { s.HostAddress, s.LocalAddress = "10.9.0.1", "10.9.0.2" }, "the address 10.9.0.2 is the host's own, on eth0"},
	} {
		l := leaseFor(t, "web", c.change)
		if got := text(On(l, Lease{}, facts)); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
		if got := text(On(l, l, facts)); name != "address" && got != "" {
			t.Errorf("%s, which it has already: %q", name, got)
		}
	}
	all, one := leaseFor(t, "web", forwarding("tcp", 80, 80, "")), leaseFor(t, "web", forwarding("tcp", 80, 80, "10.0.0.1"))
	if got := text(On(all, one, facts)); !strings.Contains(got, "tcp port 80 of the host is in use") {
		t.Errorf("a port that it has at one address, and is to have at all: %q", got)
	}
	if got := text(On(one, all, facts)); got != "" {
		t.Errorf("a port that it has at all addresses, and is to have at one: %q", got)
	}
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	n := someNetworks()["back"]
	up := false
	facts := Facts{
		Ranges: []survey.Range{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Link: "tun0"}, {Prefix: netip.MustParsePrefix("0.0.0.0/0"), Link: "eth0"}},
		Interface: func(string) (*survey.Interface, error) {
			if up {
				return &survey.Interface{}, nil
			}
			return nil, nil
		},
	}
	if err := n.Overlaps(facts); text(err) != "network back: 10.2.0.0/24 overlaps 10.0.0.0/8, which the machine has on tun0" {
		t.Error(err)
	}
	up = true
	if err := n.Overlaps(facts); err != nil {
		t.Errorf("its bridge is there: %v", err)
	}
}

// TestStale: a guest that runs on a network sees what has changed of it.
func TestStale(t *testing.T) {
	t.Parallel()
	rec := record("web", func(s *container.Spec) { s.Zone, s.Networks = "back", []string{"default"} })
	links, err := Choose(state.Paths{Root: "/"}, rec, someNetworks(), Used{})
	if err != nil {
		t.Fatal(err)
	}
	rec.Links = links
	l, err := LeaseOf(state.Paths{Root: "/"}, &rec, someNetworks())
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Stale(someNetworks()); len(got) > 0 || !Fits(rec, someNetworks()) {
		t.Errorf("nothing has changed: %v", got)
	}
	changed := someNetworks()
	n := changed["back"]
	n.Subnet, n.Subnet6, n.Isolated = netip.MustParsePrefix("10.3.0.0/24"), netip.Prefix{}, false
	changed["back"] = n
	var got []string
	for _, c := range l.Stale(changed) {
		got = append(got, c.Key+": "+c.Old+" -> "+c.New+" "+c.Effect.String())
	}
	if want := "networks.back.subnet: 10.2.0.0/24 -> 10.3.0.0/24 restart|networks.back.subnet6: fd02::/64 -> none restart"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
	if Fits(rec, changed) {
		t.Error("the old addresses fit a new subnet")
	}
}
