package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// open has an endpoint served by UDP; see listenTCP.
func (s *Server) open(e Endpoint, a *Audience) (*place, error) {
	udp, err := s.listenUDP(e)
	if err != nil {
		return nil, plainly(err)
	}
	p := &place{server: s, address: e.Address, udp: udp, conns: clients{limit: maxConns, all: maxAllConns}}
	p.audience.Store(a)
	p.ending, p.end = context.WithCancel(context.Background())
	_ = p.udp.SetReadBuffer(receiveBuffer) // a smaller one works too
	p.running.Go(p.serveUDP)
	return p, nil
}

// listenUDP listens also beside a server that has the port of all the host's
// addresses and allows that, as dnsmasq and unbound do: what comes to the address on
// the device is for the socket that is bound to these.
func (s *Server) listenUDP(e Endpoint) (*net.UDPConn, error) {
	conn, err := listenConfig(e, false).ListenPacket(context.Background(), "udp", s.at(e))
	if errors.Is(err, unix.EADDRINUSE) {
		conn, err = listenConfig(e, true).ListenPacket(context.Background(), "udp", s.at(e))
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// listenTCP serves an endpoint by TCP too, if it is not yet. Beside a server of all
// addresses it cannot: that one then gets what clients ask by TCP, after an answer
// that was too long for UDP.
func (p *place) listenTCP(e Endpoint) error {
	if p.tcp != nil {
		return nil
	}
	l, err := listenConfig(e, false).Listen(context.Background(), "tcp", p.server.at(e))
	if err != nil {
		return plainly(err)
	}
	p.tcp = l.(*net.TCPListener)
	p.running.Go(p.serveTCP)
	return nil
}

func (s *Server) at(e Endpoint) string { return netip.AddrPortFrom(e.Address, s.port).String() }

// plainly is err for people.
func plainly(err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return errors.New("another program of the host has this port of all addresses, which dnsmasq leaves to others with bind-dynamic")
	}
	return err
}

func listenConfig(e Endpoint, beside bool) *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return prepare(c, e, beside) }}
}

// prepare binds a socket to the device alone, and lets it wait for its address.
// With beside, others may have its port too.
func prepare(c syscall.RawConn, e Endpoint, beside bool) error {
	var inner error
	err := c.Control(func(fd uintptr) {
		s := int(fd)
		if inner = unix.BindToDevice(s, e.Device); inner != nil {
			return
		}
		if e.Address.Is4() {
			inner = unix.SetsockoptInt(s, unix.SOL_IP, unix.IP_FREEBIND, 1)
		} else {
			inner = unix.SetsockoptInt(s, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
		}
		if inner == nil && beside {
			inner = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}
	})
	return errors.Join(err, inner)
}
