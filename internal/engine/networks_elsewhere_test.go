package engine

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/survey"
)

// TestHeld: who has the ports that names need is told, and not those of others.
func TestHeld(t *testing.T) {
	t.Parallel()
	const secure = "ingress: tcp port 443 of the host is in use by a process that cannot be seen from here: the host answers for the names once it is free"
	list := []survey.Listener{{Protocol: "udp", Address: netip.MustParseAddrPort("[::]:80")}, {Protocol: "tcp", Address: netip.MustParseAddrPort("127.0.0.1:443")}}
	for kind, want := range map[container.TLS][]string{container.TLSInternal: {secure}, container.TLSACME: {secure}, container.TLSOff: nil} {
		if d := cmp.Diff(want, held([]container.Ingress{{Host: "a.example.com", TLS: kind}}, holders(list, 80, 443))); d != "" {
			t.Errorf("%s: %s", kind, d)
		}
	}
}

// TestElsewhere: ports at addresses that the host does not have are told, and
// not those of what berth sets up itself.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	at := func(addresses ...string) (out []container.ForwardPort) {
		for i, a := range addresses {
			out = append(out, container.ForwardPort{Protocol: "tcp", HostPort: container.Port(uint16(80 + i)), HostAddress: a})
		}
		return out
	}
	networks := network.Networks{"default": {Name: "default", Subnet: netip.MustParsePrefix("10.88.0.0/24"), Subnet6: netip.MustParsePrefix("fd00::/64")}}
	own := network.Facts{Addresses: map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "eth0"}}
	for name, test := range map[string]struct {
		spec container.Spec
		want []string
	}{
		"all":      {container.Spec{ForwardPorts: at("", "0.0.0.0", "::")}, nil},
		"own":      {container.Spec{ForwardPorts: at("192.0.2.1", "127.0.0.1", "127.3.2.1", "::1")}, nil},
		"bridge":   {container.Spec{ForwardPorts: at("10.88.0.1", "fd00::1")}, nil},
		"guest":    {container.Spec{ForwardPorts: at("10.88.0.2")}, []string{"10.88.0.2"}},
		"link":     {container.Spec{HostAddress: "10.7.0.1/24", ForwardPorts: at("10.7.0.1")}, nil},
		"strange":  {container.Spec{ForwardPorts: at("192.0.2.2", "192.0.2.2", "2001:db8::1")}, []string{"192.0.2.2", "2001:db8::1"}},
		"of veths": {container.Spec{ExtraVeths: map[string]container.ExtraVeth{"a": {HostAddress: "10.9.0.1", ForwardPorts: at("10.9.0.1", "10.9.0.2")}}}, []string{"10.9.0.2"}},
	} {
		var got []string
		for _, a := range elsewhere(test.spec, networks, own) {
			got = append(got, a.String())
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
