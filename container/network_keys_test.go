package container

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestPorts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Ports{"80": Port(80), `"8000-8010"`: {8000, 8010}, `"80"`: Port(80)} {
		var p Ports
		if err := json.Unmarshal([]byte(text), &p); err != nil || p != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"0", "-1", "65536", `"9-8"`, `"a"`, "1.5", "true"} {
		var p Ports
		if err := json.Unmarshal([]byte(text), &p); err == nil {
			t.Errorf("%s: %v", text, p)
		}
	}
	for want, p := range map[string]Ports{"80": Port(80), `"1-65535"`: {1, 65535}} {
		if b, err := json.Marshal(p); err != nil || string(b) != want {
			t.Errorf("%v: %s, %v", p, b, err)
		}
	}
	if !Port(5).Overlaps(Ports{1, 5}) || Port(6).Overlaps(Ports{1, 5}) || (Ports{1, 5}).Count() != 5 {
		t.Error("overlaps")
	}
}

func TestSubnet(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "none", "10.0.0.0/24", "fd00::/64"} {
		var s Subnet
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != text {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"any", "10.0.0.1/24", "10.0.0.0/7", "10.0.0.0/31", "::/64", "fd00::/127", "127.0.0.0/8", "fe80::/64", "::ffff:10.0.0.0/120", "0.0.0.0/8"} {
		var s Subnet
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, s)
		}
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"A.example.": "a.example", "*.b.c": "*.b.c", "x": "x", "xn--a": "xn--a",
		"": "", ".": "", "*": "", "a..b": "", "*.*.a": "", "a_b": "", "10.0.0.1": "", "-a.b": "", "a:80": "", "ä.de": ""} {
		if got, err := ParseHost(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// TestLinks holds which interfaces a guest has, and what they are for.
func TestLinks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec      Spec
		networks  []string
		ethernets int
		address   bool
		guarded   bool
	}{
		"host":      {Spec{}, nil, 0, false, false},
		"default":   {Spec{PrivateNetwork: true}, []string{"default"}, 1, true, true},
		"mac":       {Spec{PrivateNetwork: true, LocalMacAddress: "02:00:00:00:00:01"}, []string{"default"}, 1, true, true},
		"none":      {Spec{PrivateNetwork: true, Networks: []string{"none"}}, nil, 0, false, false},
		"zone":      {Spec{PrivateNetwork: true, Zone: "z", Networks: []string{"a"}}, []string{"z", "a"}, 2, true, true},
		"bridge":    {Spec{PrivateNetwork: true, HostBridge: "br0"}, nil, 1, false, false},
		"static":    {Spec{PrivateNetwork: true, HostBridge: "br0", LocalAddress: "10.0.0.2/8", HostAddress: "10.0.0.1"}, nil, 1, true, false},
		"opposite":  {Spec{PrivateNetwork: true, HostAddress6: "fd00::1", LocalAddress6: "fd00::2"}, nil, 1, true, true},
		"several":   {Spec{PrivateNetwork: true, HostBridge: "br0", Networks: []string{"a", "b"}}, []string{"a", "b"}, 3, true, true},
		"macvlan":   {Spec{PrivateNetwork: true, Macvlans: []string{"eth0"}}, nil, 0, false, false},
		"veth":      {Spec{PrivateNetwork: true, ExtraVeths: map[string]ExtraVeth{"a": {}}}, nil, 0, false, true},
		"veth only": {Spec{PrivateNetwork: true, ExtraVeths: map[string]ExtraVeth{"a": {HostBridge: "b"}}}, nil, 0, false, false},
	} {
		s := c.spec
		if got := s.BerthNetworks(); !slices.Equal(got, c.networks) {
			t.Errorf("%s: networks %v", name, got)
		}
		if len(s.EthernetNames()) != c.ethernets || s.HasFirst() != (c.ethernets > 0) || s.HasAddress() != c.address || s.Guarded() != c.guarded {
			t.Errorf("%s: %v %v %v %v", name, s.EthernetNames(), s.HasFirst(), s.HasAddress(), s.Guarded())
		}
	}
}
