package declare

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
)

func TestParseSettings(t *testing.T) {
	t.Parallel()
	prefix := func(s string) container.Subnet { return container.Subnet{Prefix: netip.MustParsePrefix(s)} }
	for _, c := range []struct {
		text string
		want Settings
	}{
		{"", Settings{}},
		{"# nothing but comments\n", Settings{}},
		{"---\n", Settings{}},
		{"network: {}\ningress: {}\n", Settings{}},
		{"network: { bridge: br7, subnet: 10.9.0.0/16, subnet6: none }",
			Settings{Network: NetworkSettings{Bridge: "br7", Subnet: prefix("10.9.0.0/16"), Subnet6: container.Subnet{None: true}}}},
		{"ingress: { acmeDirectory: https://ca.example/dir, acmeRoot: /etc/ca.pem, email: me@example.org }",
			Settings{Ingress: IngressSettings{ACMEDirectory: "https://ca.example/dir", ACMERoot: "/etc/ca.pem", Email: "me@example.org"}}},
		{"nix: { trustedPublicKeys: ['" + nix.NixOSKey + "'] }", Settings{Nix: NixSettings{TrustedPublicKeys: []string{nix.NixOSKey}}}},
	} {
		got, err := ParseSettings(strings.NewReader(c.text), "berth.yaml")
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.text, err, diff)
		}
	}
}

func TestParseSettingsProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"containers: {}":                             "berth.yaml:1:1: containers: unknown key\nhint: this is for the host's settings: declare containers in a file of /etc/berth/containers",
		"networks: {}":                               "berth.yaml:1:1: networks: unknown key; did you mean \"network\"?\nhint: this is for the host's settings: declare networks in a file of /etc/berth/containers",
		"network: { bridge: a/b }":                   "berth.yaml:1:20: network.bridge: interface name \"a/b\" has the character '/', which the kernel does not allow\n",
		"network: { subnet: 10.0.0.1/8 }":            "berth.yaml:1:20: network.subnet: \"10.0.0.1/8\" is an address in a subnet: write \"10.0.0.0/8\" for the subnet\n",
		"network: { subnet: none, subnet6: none }":   "berth.yaml:1:10: network: the default network would have no addresses at all\nhint: leave out subnet or subnet6",
		"network: { subnets: none }":                 "berth.yaml:1:12: network.subnets: unknown key; did you mean \"subnet\"?\n",
		"network: {}\nnetwork: {}":                   "berth.yaml:2:1: network: this key is already given in line 1\nhint: keep one of the two",
		"ingress: { email: me, acmeDirectory: 'x' }": "berth.yaml:1:19: ingress.email: \"me\" is not an e-mail address such as admin@example.com\n",
		"nix: { trustedPublicKeys: [a:b] }":          "berth.yaml:1:28: nix.trustedPublicKeys[0]: \"a:b\" is not a public key such as " + nix.NixOSKey + "\n",
		"[]":                                         "berth.yaml:1:1: expected a map with keys such as network, got a list\n",
		"{":                                          "berth.yaml:2:1: a value is expected here",
	} {
		_, err := ParseSettings(strings.NewReader(text), "berth.yaml")
		got := ""
		if problems, ok := err.(*Problems); ok {
			got = problems.List[0].Error() + "\n"
			if problems.List[0].Hint != "" {
				got += "hint: " + problems.List[0].Hint
			}
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("network: { bridge: br7, subnet: 10.9.0.0/16, subnet6: none }")
	f.Add("ingress: { email: a@b.c }")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ParseSettings(strings.NewReader(text), "berth.yaml"); err != nil {
			checkProblems(t, err)
		}
	})
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	d, err := ParseYAML(strings.NewReader("networks:\n  a:\n  b: { subnet: 10.0.0.0/24, subnet6: none, isolated: true, nat: false, dhcp: true }\n"), "/dir/berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]container.NetworkSpec{
		"a": {NAT: true},
		"b": {Subnet: container.Subnet{Prefix: netip.MustParsePrefix("10.0.0.0/24")}, Subnet6: container.Subnet{None: true}, Isolated: true, DHCP: true},
	}
	for _, n := range d.Networks {
		if n.Spec != want[n.Name] || n.Pos.Line == 0 {
			t.Errorf("%s at %v: %+v", n.Name, n.Pos, n.Spec)
		}
	}
	if len(d.Networks) != 2 || len(d.Containers) != 0 {
		t.Errorf("%+v", d)
	}
}

// TestNetworkKeys holds that the keys of a network and what is told of them
// agree.
func TestNetworkKeys(t *testing.T) {
	t.Parallel()
	fields, keys, defaults := networkFields(), NetworkKeys(), container.DefaultNetworkSpec()
	for i, f := range fields {
		if len(keys) != len(fields) || keys[i].Name != f.name || plainText(f.write(&defaults)) != keys[i].Default {
			t.Errorf("%s: %+v", f.name, keys)
		}
	}
}
