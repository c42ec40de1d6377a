// Package dhcp gives guests that insist on DHCP the addresses that they have
// already. It serves IPv4 only, knows all its clients beforehand, and answers
// nobody else.
package dhcp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
)

// Network is a device with the clients behind it.
type Network struct {
	Device string
	Index  int        // the device's; one that comes again has another
	Server netip.Addr // the host's address there
	// Clients are by hardware address, as text in small letters.
	Clients map[string]Client
}

// Client is what one client is told.
type Client struct {
	Name      string
	Address   netip.Prefix
	Gateway   netip.Addr // none where it is not valid
	Resolvers []netip.Addr
	Domain    string
}

// leaseTime is how long a client keeps its address before it asks again. The
// address is its own for as long as it runs.
const leaseTime = time.Hour

// Server serves networks.
type Server struct {
	log *slog.Logger

	mu     sync.Mutex
	places map[endpoint]*place
}

type endpoint struct {
	device string
	index  int
	server netip.Addr
}

type place struct {
	conn    net.PacketConn
	network atomic.Pointer[Network]
}

// NewServer serves nothing before Set.
func NewServer(log *slog.Logger) *Server {
	return &Server{log: log, places: map[endpoint]*place{}}
}

// Set has exactly these networks served. What could not be is in the error, and
// is tried again by the next Set.
func (s *Server) Set(networks []Network) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := map[endpoint]*Network{}
	for _, n := range networks {
		wanted[endpoint{n.Device, n.Index, n.Server}] = &n
	}
	for e, p := range s.places {
		if wanted[e] == nil {
			_ = p.conn.Close()
			delete(s.places, e)
		}
	}
	var errs []error
	for e, n := range wanted {
		p := s.places[e]
		if p == nil {
			var err error
			if p, err = s.open(e); err != nil {
				errs = append(errs, fmt.Errorf("serve DHCP on %s: %w", e.device, err))
				continue
			}
			s.places[e] = p
			p.network.Store(n)
			go p.serve(s.log)
		}
		p.network.Store(n)
	}
	return errors.Join(errs...)
}

// Close ends all service.
func (s *Server) Close() error { return s.Set(nil) }

func (s *Server) open(e endpoint) (*place, error) {
	conn, err := server4.NewIPv4UDPConn(e.device, &net.UDPAddr{IP: net.IPv4zero, Port: dhcpv4.ServerPort})
	if err != nil {
		return nil, err
	}
	return &place{conn: conn}, nil
}

// serve answers until the connection is closed.
func (p *place) serve(log *slog.Logger) {
	server, err := server4.NewServer("", nil, p.handle, server4.WithConn(p.conn))
	if err == nil {
		err = server.Serve()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		log.Error("DHCP ended", "device", p.network.Load().Device, "err", err)
	}
}

// handle answers one message, if it comes from a client that is known.
func (p *place) handle(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	n := p.network.Load()
	reply := n.answer(m)
	if reply == nil {
		return
	}
	// A client without an address yet hears what is sent to all.
	to := &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort}
	if udp, ok := peer.(*net.UDPAddr); ok && reply.MessageType() != dhcpv4.MessageTypeNak && !m.ClientIPAddr.IsUnspecified() && udp.IP.Equal(m.ClientIPAddr) {
		to.IP = udp.IP
	}
	_, _ = conn.WriteTo(reply.ToBytes(), to) // a client that hears nothing asks again
}

// answer is the answer to m; nil where there is none. See RFC 2131, 4.3.
func (n *Network) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	c, known := n.Clients[m.ClientHWAddr.String()]
	if !known || m.OpCode != dhcpv4.OpcodeBootRequest || !m.GatewayIPAddr.IsUnspecified() {
		return nil
	}
	if id := m.ServerIdentifier(); id != nil && !id.Equal(n.Server.AsSlice()) {
		return nil // it has chosen another server
	}
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return n.offer(m, c, dhcpv4.MessageTypeOffer)
	case dhcpv4.MessageTypeRequest:
		wanted := m.RequestedIPAddress()
		if wanted == nil || wanted.IsUnspecified() {
			wanted = m.ClientIPAddr
		}
		if !wanted.Equal(c.Address.Addr().AsSlice()) {
			return n.refuse(m)
		}
		return n.offer(m, c, dhcpv4.MessageTypeAck)
	case dhcpv4.MessageTypeInform:
		reply := n.offer(m, c, dhcpv4.MessageTypeAck)
		if reply != nil {
			reply.YourIPAddr = net.IPv4zero
			reply.Options.Del(dhcpv4.OptionIPAddressLeaseTime)
		}
		return reply
	}
	return nil
}

func (n *Network) offer(m *dhcpv4.DHCPv4, c Client, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	mask := net.CIDRMask(c.Address.Bits(), 32)
	options := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithServerIP(n.Server.AsSlice()),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(n.Server.AsSlice())),
		dhcpv4.WithYourIP(c.Address.Addr().AsSlice()),
		dhcpv4.WithNetmask(mask),
		dhcpv4.WithLeaseTime(uint32(leaseTime / time.Second)),
	}
	if c.Gateway.IsValid() {
		options = append(options, dhcpv4.WithRouter(c.Gateway.AsSlice()))
	}
	var resolvers []net.IP
	for _, r := range c.Resolvers {
		if r.Is4() {
			resolvers = append(resolvers, r.AsSlice())
		}
	}
	if len(resolvers) > 0 {
		options = append(options, dhcpv4.WithDNS(resolvers...))
	}
	if c.Name != "" {
		options = append(options, dhcpv4.WithOption(dhcpv4.OptHostName(c.Name)))
	}
	if c.Domain != "" {
		options = append(options, dhcpv4.WithOption(dhcpv4.OptDomainName(c.Domain)))
	}
	reply, err := dhcpv4.NewReplyFromRequest(m, options...)
	if err != nil {
		return nil
	}
	return reply
}

func (n *Network) refuse(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(n.Server.AsSlice())))
	if err != nil {
		return nil
	}
	return reply
}
