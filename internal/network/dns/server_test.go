package dns

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/network/networktest"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	serve(t, "127.0.0.4", view(), noUpstream(t))
	edns := func(version uint8) func(*dns.Msg) {
		return func(m *dns.Msg) { m.SetEdns0(4096, true); m.IsEdns0().SetVersion(version) }
	}
	for name, c := range map[string]struct {
		change func(*dns.Msg)
		want   int
	}{
		"any":       {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeANY }, dns.RcodeRefused},
		"transfer":  {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }, dns.RcodeRefused},
		"class":     {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		"opcode":    {func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		"questions": {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		"no":        {func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		"answers":   {func(m *dns.Msg) { m.Answer = []dns.RR{soa("x.")} }, dns.RcodeFormatError},
		"version":   {edns(1), dns.RcodeBadVers},
		"edns":      {edns(0), dns.RcodeSuccess},
	} {
		m := new(dns.Msg)
		m.SetQuestion("web.", dns.TypeA)
		c.change(m)
		reply := exchange(t, "udp", "127.0.0.4", m)
		if reply.Rcode != c.want || !reply.Response || reply.Opcode != m.Opcode {
			t.Errorf("%s: %v", name, reply)
		}
		if opt := reply.IsEdns0(); (opt != nil) != (m.IsEdns0() != nil) || opt != nil && (opt.Version() != 0 || !opt.Do()) {
			t.Errorf("%s: EDNS %v", name, opt)
		}
	}
}

// TestBeside serves beside a server that has the same port without a device: by
// UDP at once, and by TCP as soon as that one has gone.
func TestBeside(t *testing.T) {
	t.Parallel()
	listen := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				t.Error(err)
			}
		})
	}}
	udp, err := listen.ListenPacket(t.Context(), "udp", "127.0.0.9:53")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := listen.Listen(t.Context(), "tcp", "127.0.0.9:53")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	s := NewServer(noUpstream(t), slog.New(slog.DiscardHandler))
	defer s.Close()
	wanted := map[Endpoint]Audience{{Address: addr("127.0.0.9"), Device: "lo", Index: 1}: {Host: view()}}
	for range 2 {
		if err := s.Set(wanted); err == nil || !strings.HasPrefix(err.Error(), "serve names at 127.0.0.9 on lo by TCP: another program of the host") {
			t.Errorf("beside another server: %v", err)
		}
		if reply := ask(t, "udp", "127.0.0.9", "web.", dns.TypeA); len(reply.Answer) != 1 {
			t.Errorf("by UDP: %v", reply)
		}
	}
	tcp.Close()
	if err := s.Set(wanted); err != nil {
		t.Errorf("after the other has gone: %v", err)
	}
	if reply := ask(t, "tcp", "127.0.0.9", "web.", dns.TypeA); len(reply.Answer) != 1 {
		t.Errorf("by TCP: %v", reply)
	}
}

// TestTruncated asks for more than fits.
func TestTruncated(t *testing.T) {
	t.Parallel()
	var many []netip.Addr
	for i := range 200 {
		many = append(many, addr(fmt.Sprintf("fd00:88::%x", i+1)))
	}
	serve(t, "127.0.0.5", NewView([]Host{{Names: []string{"many"}, Addresses: many}}, nil), noUpstream(t))
	for _, size := range []uint16{0, 4096} {
		m := new(dns.Msg)
		m.SetQuestion("many.", dns.TypeAAAA)
		if size > 0 {
			m.SetEdns0(size, false)
		}
		c := dns.Client{Net: "udp", UDPSize: 4096}
		reply, _, err := c.ExchangeContext(t.Context(), m, "127.0.0.5:53")
		if err != nil || !reply.Truncated || len(reply.Answer) > 0 || !reply.Authoritative {
			t.Errorf("%d: %v\n%v", size, err, reply)
		}
	}
	if reply := ask(t, "tcp", "127.0.0.5", "many.", dns.TypeAAAA); len(reply.Answer) != len(many) || reply.Truncated {
		t.Errorf("by TCP %d answers", len(reply.Answer))
	}
}

// TestAudience serves a bridge with one guest, and the machine itself.
func TestAudience(t *testing.T) {
	t.Parallel()
	guest := networktest.New(t)
	networktest.IP(t, "link", "add", "br5", "type", "bridge")
	t.Cleanup(func() { networktest.IP(t, "link", "del", "br5"); networktest.IP(t, "link", "del", "ve5") })
	networktest.IP(t, "addr", "add", "10.5.0.1/24", "dev", "br5")
	networktest.IP(t, "link", "set", "br5", "up")
	networktest.IP(t, "link", "add", "ve5", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(guest.PID))
	networktest.IP(t, "link", "set", "ve5", "master", "br5", "up")
	for _, words := range [][]string{{"addr", "add", "10.5.0.2/24", "dev", "eth0"}, {"addr", "add", "10.6.0.2/24", "dev", "eth0"}, {"link", "set", "eth0", "up"},
		{"route", "add", "default", "via", "10.5.0.1"}} {
		if out, err := guest.Run(t, append([]string{"ip"}, words...)...); err != nil {
			t.Fatal(out, err)
		}
	}
	networktest.IP(t, "route", "add", "10.6.0.0/24", "dev", "br5")
	s := NewServer(noUpstream(t), slog.New(slog.DiscardHandler))
	defer s.Close()
	inside := NewView([]Host{{Names: []string{"x"}, Addresses: []netip.Addr{addr("10.5.0.7")}}}, nil)
	outside := NewView([]Host{{Names: []string{"x"}, Addresses: []netip.Addr{addr("10.5.0.8")}}}, nil)
	set := func(inside *View) {
		err := s.Set(map[Endpoint]Audience{
			{Address: addr("10.5.0.1"), Device: "br5", Index: 5}: {Clients: []netip.Prefix{prefix("10.5.0.0/24")}, View: inside, Host: outside},
			{Address: addr("10.5.0.1"), Device: "lo", Index: 1}:  {Host: outside},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(inside)
	for try := 0; try < 20; try++ { // the kernel takes a moment to carry frames
		if _, err := askFrom(t, guest, "udp", "10.5.0.2"); err == nil {
			break
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if got := fmt.Sprint(data(ask(t, network, "10.5.0.1", "x.", dns.TypeA).Answer)); got != "[10.5.0.8]" {
			t.Errorf("the machine sees %s by %s", got, network)
		}
		if got, err := askFrom(t, guest, network, "10.5.0.2"); got != "[10.5.0.7]" {
			t.Errorf("the guest sees %s by %s (%v)", got, network, err)
		}
		if got, err := askFrom(t, guest, network, "10.6.0.2"); err == nil {
			t.Errorf("a stranger sees %s by %s", got, network)
		}
	}
	set(outside)
	if got, err := askFrom(t, guest, "udp", "10.5.0.2"); got != "[10.5.0.8]" {
		t.Errorf("after a change the guest sees %s (%v)", got, err)
	}
	if err := s.Set(nil); err != nil {
		t.Fatal(err)
	}
	if got, err := askFrom(t, guest, "udp", "10.5.0.2"); err == nil {
		t.Errorf("after the end the guest sees %s", got)
	}
}

// askFrom asks for x from an address of a guest.
func askFrom(t *testing.T, guest networktest.Namespace, network, from string) (got string, err error) {
	t.Helper()
	err = guest.In(t, func() error {
		m := new(dns.Msg)
		m.SetQuestion("x.", dns.TypeA)
		c := dns.Client{Net: network, Dialer: dialerFrom(network, addr(from))}
		reply, _, err := c.ExchangeContext(t.Context(), m, "10.5.0.1:53")
		if err == nil {
			got = fmt.Sprint(data(reply.Answer))
		}
		return err
	})
	return got, err
}
