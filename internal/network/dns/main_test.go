package dns

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/berth-containers/berth/internal/network/networktest"
)

func TestMain(m *testing.M) { os.Exit(networktest.Main(m)) }

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// view is what most tests serve.
func view() *View {
	return NewView([]Host{
		{Names: []string{"web"}, Aliases: []string{"www", "db"}, Addresses: []netip.Addr{addr("10.88.0.5"), addr("fd00:88::5")}},
		{Names: []string{"db"}, Aliases: []string{"store.example"}, Addresses: []netip.Addr{addr("10.88.0.6")}},
		{Names: []string{"My_App", "My-App"}, Addresses: []netip.Addr{addr("192.168.5.5")}},
	}, []netip.Prefix{prefix("10.88.0.0/24"), prefix("10.99.16.0/20"), prefix("fd00:88::/64")})
}

// serve serves v to the machine itself at an address of its own, with resolvers
// as conf says.
func serve(t *testing.T, at string, v *View, u *Upstream) {
	t.Helper()
	s := NewServer(u, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Set(map[Endpoint]Audience{{Address: addr(at), Device: "lo", Index: 1}: {Host: v}}); err != nil {
		t.Fatal(err)
	}
}

// ask asks the server at an address.
func ask(t *testing.T, network, at, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	return exchange(t, network, at, m)
}

func exchange(t *testing.T, network, at string, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 2 * askLimit} // a machine may have much else to do
	reply, _, err := c.ExchangeContext(t.Context(), m, netip.AddrPortFrom(addr(at), Port).String())
	if err != nil {
		t.Fatalf("%v: %v", m.Question, err)
	}
	return reply
}

// noUpstream has no resolvers.
func noUpstream(t *testing.T) *Upstream { return NewUpstream(t.TempDir() + "/resolv.conf") }

// dialerFrom connects from an address, and is not patient.
func dialerFrom(network string, from netip.Addr) *net.Dialer {
	d := &net.Dialer{Timeout: 300 * time.Millisecond}
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	} else {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d
}
