package network

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

var update = flag.Bool("update", false, "write the golden files anew")

// someNetworks are networks to be on.
func someNetworks() Networks {
	p := netip.MustParsePrefix
	return Networks{
		"default": {Name: "default", Bridge: "berth0", Subnet: p("10.1.0.0/20"), Subnet6: p("fd01::/64"), NAT: true},
		"back":    {Name: "back", Bridge: "berth-back", Subnet: p("10.2.0.0/24"), Subnet6: p("fd02::/64"), Isolated: true},
		"four":    {Name: "four", Bridge: "berth-four", Subnet: p("10.4.0.0/30"), NAT: true},
		"six":     {Name: "six", Bridge: "berth-six", Subnet6: p("fd06::/126")},
		"bare":    {Name: "bare", Bridge: "berth-bare"},
	}
}

// record is a container with a network of its own.
func record(name container.Name, change func(*container.Spec)) state.Record {
	s := container.DefaultSpec()
	s.PrivateNetwork = true
	change(&s)
	return state.Record{Name: name, MachineID: "0123456789abcdef0123456789abcdef", Spec: s}
}

// specs have each attachment, alone and with others.
func specs() map[string]func(*container.Spec) {
	type spec = container.Spec
	return map[string]func(*spec){
		"host":      func(s *spec) { s.PrivateNetwork = false },
		"namespace": func(s *spec) { s.PrivateNetwork, s.NetworkNamespace = false, "/run/netns/a" },
		"none":      func(s *spec) { s.Networks = []string{"none"} },
		"default": func(s *spec) {
			s.LocalMacAddress = "02:00:00:00:00:01"
			s.Aliases, s.AllowHost = []string{"www"}, []container.HostPort{{Protocol: "tcp", First: 5432, Last: 5432}}
			s.Ingress = []container.Ingress{{Host: "a.example", Port: 80, TLS: container.TLSOff}}
			s.ForwardPorts = []container.ForwardPort{
				{Protocol: "tcp", HostPort: container.Port(80)},
				{Protocol: "udp", HostPort: container.Ports{First: 8000, Last: 8010}, ContainerPort: 9000},
				{Protocol: "tcp", HostPort: container.Port(81), HostAddress: "127.0.0.1"},
				{Protocol: "tcp", HostPort: container.Port(82), HostAddress: "::"},
			}
		},
		"zone": func(s *spec) {
			s.Zone, s.LocalAddress, s.Networks = "back", "10.2.0.7", []string{"default", "four", "six", "bare"}
		},
		"networks": func(s *spec) { s.Networks, s.LocalAddress6 = []string{"six", "back"}, "fd06::2/126" },
		"opposite": func(s *spec) {
			s.HostAddress, s.LocalAddress, s.HostAddress6, s.LocalAddress6 = "10.9.0.1", "10.9.0.2/24", "fd09::1", "fd09::2"
		},
		"opposite-prefix": func(s *spec) {
			s.HostAddress, s.LocalAddress, s.HostAddress6, s.LocalAddress6 = "10.9.0.1/24", "10.9.0.2", "fd09::1/64", "fd09::2/64"
		},
		"bridge": func(s *spec) { s.HostBridge, s.HostAddress, s.LocalAddress = "br0", "10.9.0.1/24", "10.9.0.2/24" },
		"dhcp":   func(s *spec) { s.HostBridge = "br0" },
		"several": func(s *spec) {
			s.HostBridge, s.LocalAddress, s.Networks = "br0", "10.9.0.2/24", []string{"back", "four"}
			s.Macvlans, s.Interfaces = []string{"enp5s0", "enp5s0.123456"}, []string{"enp6s0"}
			s.ExtraVeths = map[string]container.ExtraVeth{
				"lan": {HostAddress: "10.8.0.1", LocalAddress: "10.8.0.2", HostAddress6: "fd08::1", LocalAddress6: "fd08::2/64", LocalMacAddress: "02:00:00:00:00:02",
					ForwardPorts: []container.ForwardPort{{Protocol: "tcp", HostPort: container.Port(2222), ContainerPort: 22}}},
				"wan": {HostBridge: "br1"},
			}
			s.ForwardPorts = []container.ForwardPort{{Protocol: "tcp", HostPort: container.Port(80)}}
		},
	}
}

// TestLeaseOf holds every lease in a golden file.
func TestLeaseOf(t *testing.T) {
	t.Parallel()
	for name, change := range specs() {
		for kind, paths := range map[string]state.Paths{"": {Root: "/"}, "-instance": {Root: "/srv/other"}} {
			rec := record("web", change)
			links, err := Choose(paths, rec, someNetworks(), UsedBy(nil, nil, "web"))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			rec.Links = links
			lease, err := LeaseOf(paths, &rec, someNetworks())
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			compare(t, filepath.Join("testdata", name+kind+".json"), lease)
			checkLease(t, name, lease)
		}
	}
}

func compare(t *testing.T, path string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
		t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
	}
}

// checkLease holds what is true of every lease.
func checkLease(t *testing.T, what string, l Lease) {
	t.Helper()
	guest, host, routes := map[string]bool{}, map[string]bool{}, map[bool]bool{}
	for _, i := range l.Links {
		if _, err := container.ParseInterface(i.Guest); err != nil || guest[i.Guest] {
			t.Errorf("%s: the guest's interface %s: %v", what, i.Guest, err)
		}
		if _, err := container.ParseInterface(i.Host); err != nil || host[i.Host] && i.Kind != Macvlan {
			t.Errorf("%s: the host's interface %s: %v", what, i.Host, err)
		}
		guest[i.Guest], host[i.Host] = true, true
		if i.Kind != Moved && len(i.MAC.Hardware()) != 6 {
			t.Errorf("%s: %s has the address %q", what, i.Guest, i.MAC)
		}
		for _, g := range i.Gateways {
			if routes[g.Is4()] {
				t.Errorf("%s: a second default route, by %v", what, g)
			}
			routes[g.Is4()] = true
		}
	}
	for _, p := range l.Ports {
		if len(p.Guest) == 0 || len(p.Guest) > 2 || p.To == 0 || p.Last < p.First {
			t.Errorf("%s: %+v", what, p)
		}
	}
}

func TestLeaseOfProblems(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		change func(*container.Spec)
		links  []state.Link
	}{
		"there is no network lan": {func(s *container.Spec) { s.Networks = []string{"lan"} }, nil},
		"no address of the network back, 10.2.0.0/24, has been chosen for web": {func(s *container.Spec) { s.Zone = "back" },
			[]state.Link{{Network: "back", Addresses: []netip.Addr{netip.MustParseAddr("10.7.0.2")}}}},
		"forwardPorts: tcp port 80 of ::1: the guest has no address that could answer": {func(s *container.Spec) {
			s.Networks = []string{"four"}
			s.ForwardPorts = []container.ForwardPort{{Protocol: "tcp", HostPort: container.Port(80), HostAddress: "::1"}}
		}, []state.Link{{Network: "four", Addresses: []netip.Addr{netip.MustParseAddr("10.4.0.2")}}}},
	} {
		rec := record("web", c.change)
		rec.Links = c.links
		if _, err := LeaseOf(state.Paths{Root: "/"}, &rec, someNetworks()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestBridgeNames holds that no two networks of any two instances share a
// bridge.
func TestBridgeNames(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, root := range []string{"/", "/srv/a", "/srv/b"} {
		for _, name := range []string{"default", "a", "deadbeef", "a-long-name", "a-long-name-too", "default0", "0", strings.Repeat("x", 63)} {
			bridge := BridgeName(state.Paths{Root: root}, name)
			if _, err := container.ParseInterface(bridge); err != nil || seen[bridge] != "" {
				t.Errorf("%s of %s: %s, %v, %s", name, root, bridge, err, seen[bridge])
			}
			seen[bridge] = root + " " + name
		}
	}
	if b := BridgeName(state.Paths{Root: "/"}, "default"); b != "berth0" {
		t.Error(b)
	}
}
