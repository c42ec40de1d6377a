package dhcp

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"github.com/berth-containers/berth/internal/network/networktest"
)

func TestMain(m *testing.M) { os.Exit(networktest.Main(m)) }

const known = "02:00:00:00:00:05"

var server = netip.MustParseAddr("10.7.0.1")

func network() Network {
	return Network{Device: "br7", Index: 7, Server: server, Clients: map[string]Client{known: {
		Name: "web", Address: netip.MustParsePrefix("10.7.0.5/24"), Gateway: server, Domain: "containers",
		Resolvers: []netip.Addr{server, netip.MustParseAddr("fd00::1")},
	}}}
}

func request(t *testing.T, mac string, modifiers ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(hardware), dhcpv4.WithBroadcast(true)}, modifiers...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wants(address string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(address)))
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	kind := dhcpv4.WithMessageType
	has := dhcpv4.WithClientIP
	from := func(s string) dhcpv4.Modifier {
		return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(s)))
	}
	for name, c := range map[string]struct {
		m    *dhcpv4.DHCPv4
		want string
	}{
		"discover":       {request(t, known, kind(dhcpv4.MessageTypeDiscover)), "OFFER 10.7.0.5"},
		"stranger":       {request(t, "02:00:00:00:00:06", kind(dhcpv4.MessageTypeDiscover)), ""},
		"request":        {request(t, known, kind(dhcpv4.MessageTypeRequest), wants("10.7.0.5"), from("10.7.0.1")), "ACK 10.7.0.5"},
		"renew":          {request(t, known, kind(dhcpv4.MessageTypeRequest), has(net.ParseIP("10.7.0.5"))), "ACK 10.7.0.5"},
		"other address":  {request(t, known, kind(dhcpv4.MessageTypeRequest), wants("10.7.0.9")), "NAK 0.0.0.0"},
		"other server":   {request(t, known, kind(dhcpv4.MessageTypeRequest), wants("10.7.0.5"), from("10.7.0.2")), ""},
		"no type":        {request(t, known), ""},
		"release":        {request(t, known, kind(dhcpv4.MessageTypeRelease), has(net.ParseIP("10.7.0.5"))), ""},
		"inform":         {request(t, known, kind(dhcpv4.MessageTypeInform), has(net.ParseIP("10.7.0.5"))), "ACK 0.0.0.0"},
		"relayed":        {request(t, known, kind(dhcpv4.MessageTypeDiscover), dhcpv4.WithGatewayIP(net.ParseIP("10.9.9.9"))), ""},
		"request of any": {request(t, known, kind(dhcpv4.MessageTypeRequest)), "NAK 0.0.0.0"},
	} {
		n := network()
		got := ""
		reply := n.answer(c.m)
		if reply != nil {
			got = fmt.Sprint(reply.MessageType(), " ", reply.YourIPAddr)
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
		if name != "request" {
			continue
		}
		if len(reply.Router()) != 1 || !reply.Router()[0].Equal(server.AsSlice()) || len(reply.DNS()) != 1 || reply.DomainName() != "containers" ||
			reply.HostName() != "web" || reply.SubnetMask().String() != "ffffff00" || reply.IPAddressLeaseTime(0) != leaseTime {
			t.Error(reply.Summary())
		}
	}
}

// TestServe has a client on a link get its address, and a stranger nothing.
func TestServe(t *testing.T) {
	t.Parallel()
	guest := networktest.New(t)
	networktest.IP(t, "link", "add", "br7", "type", "bridge")
	t.Cleanup(func() { networktest.IP(t, "link", "del", "br7"); networktest.IP(t, "link", "del", "ve7") })
	networktest.IP(t, "addr", "add", "10.7.0.1/24", "dev", "br7")
	networktest.IP(t, "link", "set", "br7", "up")
	networktest.IP(t, "link", "add", "ve7", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(guest.PID))
	networktest.IP(t, "link", "set", "ve7", "master", "br7", "up")
	if out, err := guest.Run(t, "ip", "link", "set", "eth0", "up"); err != nil {
		t.Fatal(out, err)
	}
	s := NewServer(slog.New(slog.DiscardHandler))
	defer s.Close()
	for range 2 {
		if err := s.Set([]Network{network()}); err != nil {
			t.Fatal(err)
		}
	}
	err := guest.In(t, func() error {
		conn, err := server4.NewIPv4UDPConn("eth0", &net.UDPAddr{Port: dhcpv4.ClientPort})
		if err != nil {
			return err
		}
		defer conn.Close()
		m := request(t, known, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))
		reply, err := converse(conn, m, 20)
		if err != nil || reply.MessageType() != dhcpv4.MessageTypeOffer {
			return fmt.Errorf("%v: %w", reply, err)
		}
		m = request(t, known, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), wants(reply.YourIPAddr.String()))
		if reply, err = converse(conn, m, 1); err != nil || reply.MessageType() != dhcpv4.MessageTypeAck {
			return fmt.Errorf("%v: %w", reply, err)
		}
		m = request(t, "02:00:00:00:00:06", dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))
		if reply, err = converse(conn, m, 1); err == nil {
			return fmt.Errorf("a stranger hears %v", reply)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := s.Set([]Network{{Device: "none7", Index: 1, Server: server}}); err == nil {
		t.Error("no error for a device that is not there")
	}
}

// converse sends m until it is answered.
func converse(conn net.PacketConn, m *dhcpv4.DHCPv4, tries int) (*dhcpv4.DHCPv4, error) {
	b := make([]byte, 1500)
	var err error
	for range tries {
		if _, err = conn.WriteTo(m.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ServerPort}); err != nil {
			return nil, err
		}
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		var n int
		if n, _, err = conn.ReadFrom(b); err == nil {
			return dhcpv4.FromBytes(b[:n])
		}
	}
	return nil, err
}

// FuzzAnswer answers whatever a guest sends that the library can read.
func FuzzAnswer(f *testing.F) {
	hardware, _ := net.ParseMAC(known)
	m, _ := dhcpv4.New(dhcpv4.WithHwAddr(hardware), dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), wants("10.7.0.5"))
	f.Add(m.ToBytes())
	n := network()
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		if reply := n.answer(m); reply != nil {
			if _, err := dhcpv4.FromBytes(reply.ToBytes()); err != nil {
				t.Error(err)
			}
		}
	})
}
