package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Port is where name servers are asked.
const Port = 53

// Endpoint is an address at which clients of one device are served.
type Endpoint struct {
	Address netip.Addr
	// Device is the interface that questions have to come by. It has to be
	// there; the address need not be there yet.
	Device string
	// Index is the device's. A device that comes again has another one.
	Index int
}

// Audience is who may ask at an endpoint, and what they see.
type Audience struct {
	// Clients are the sources that are answered; others are not.
	Clients []netip.Prefix
	View    *View
	// Guests are what some of them see instead, who are elsewhere too.
	Guests map[netip.Addr]*View
	// Host is what the machine itself sees, whose source is the endpoint's
	// address, or any where Clients is empty.
	Host *View
}

// view is what a client sees; nil where it is not served.
func (a *Audience) view(client, own netip.Addr) *View {
	if client == own || len(a.Clients) == 0 {
		return a.Host
	}
	for _, p := range a.Clients {
		if p.Contains(client) {
			return cmp.Or(a.Guests[client], a.View)
		}
	}
	return nil
}

// Server serves names at endpoints.
type Server struct {
	upstream *Upstream
	log      *slog.Logger
	port     uint16

	mu     sync.Mutex
	places map[Endpoint]*place
}

// NewServer serves nothing before Set.
func NewServer(u *Upstream, log *slog.Logger) *Server {
	return &Server{upstream: u, log: log, port: Port, places: map[Endpoint]*place{}}
}

// place is an endpoint that is served.
type place struct {
	server   *Server
	address  netip.Addr
	audience atomic.Pointer[Audience]
	udp      *net.UDPConn
	tcp      *net.TCPListener // nil where another program has the port
	ending   context.Context
	end      context.CancelFunc
	conns    clients
	running  sync.WaitGroup
}

// Set has exactly these endpoints served from now on. What could not be is in
// the error; it is tried again by the next Set.
func (s *Server) Set(wanted map[Endpoint]Audience) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := make([]netip.Addr, 0, len(wanted))
	for e := range wanted {
		own = append(own, e.Address)
	}
	s.upstream.avoid(own)
	for e, p := range s.places {
		if _, ok := wanted[e]; !ok {
			p.close()
			delete(s.places, e)
		}
	}
	var errs []error
	for e, a := range wanted {
		var err error
		p := s.places[e]
		if p != nil {
			p.audience.Store(&a)
		} else if p, err = s.open(e, &a); err != nil {
			errs = append(errs, fmt.Errorf("serve names at %v on %s: %w", e.Address, e.Device, err))
			continue
		}
		s.places[e] = p
		if err := p.listenTCP(e); err != nil {
			errs = append(errs, fmt.Errorf("serve names at %v on %s by TCP: %w", e.Address, e.Device, err))
		}
	}
	return errors.Join(errs...)
}

// Close ends all service.
func (s *Server) Close() error { return s.Set(nil) }

// receiveBuffer holds questions that come all at once, in bytes.
const receiveBuffer = 1 << 20

func (p *place) close() {
	p.end()
	_ = p.udp.Close()
	if p.tcp != nil {
		_ = p.tcp.Close()
	}
	p.running.Wait()
}

// serveUDP answers what is known at once, and has others answer the rest.
func (p *place) serveUDP() {
	b, err := newBatch(p.udp)
	if err != nil {
		p.server.log.Error("serve names", "at", p.address, "err", err)
		return
	}
	q := new(query)
	for {
		n, err := b.receive()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		answers := 0
		for i := range n { // none, where an earlier answer did not arrive
			if size := p.answerUDP(q, b.message(i), b.out[i][:], b.sender(i)); size > 0 {
				b.reply(i, size, answers)
				answers++
			}
		}
		b.send(answers)
	}
}

// answerUDP writes the answer to a message into out, or gives 0 where there is
// none, or none yet.
func (p *place) answerUDP(q *query, msg, out []byte, from netip.AddrPort) int {
	view := p.audience.Load().view(from.Addr(), p.address)
	if view == nil {
		return 0
	}
	if n, ok := respond(view, q, msg, out); ok {
		return cut(q, out, n)
	}
	if n := p.server.upstream.remembered(q, out); n > 0 {
		return cut(q, out, n)
	}
	if !p.server.upstream.admit(from.Addr()) {
		return refuse(q, dns.RcodeServerFailure, out)
	}
	copied := append([]byte(nil), msg...)
	go func() {
		defer p.server.upstream.release(from.Addr())
		reply := p.forward(copied, false)
		_, _ = p.udp.WriteToUDPAddrPort(reply, from)
	}()
	return 0
}

// respond answers all that does not need others. It is ok with an n of 0 where
// there is nothing to answer.
func respond(view *View, q *query, msg, out []byte) (n int, ok bool) {
	switch rcode := q.parse(msg); rcode {
	case dns.RcodeSuccess:
		return view.answer(q, out)
	case noReply:
		return 0, true
	case dns.RcodeBadVers:
		return badVersion(q, out), true
	default:
		return refuse(q, rcode, out), true
	}
}

// forward has the resolvers of the host answer.
func (p *place) forward(msg []byte, tcp bool) []byte {
	var q query
	q.parse(msg) // which it did before
	reply, err := p.server.upstream.Ask(p.ending, &q, tcp)
	out := make([]byte, max(len(reply), len(msg)+headerLen+len(optRecord{})))
	var n int
	if err != nil {
		n = refuse(&q, dns.RcodeServerFailure, out)
	} else {
		n = adapt(&q, reply, out)
	}
	if !tcp {
		n = cut(&q, out, n)
	}
	return out[:n]
}

// adapt makes an answer to somebody's question the answer to q, which is the
// same one.
func adapt(q *query, reply, out []byte) int {
	if len(reply) > len(out) {
		copy(out, reply[:headerLen])
		return truncate(q, out)
	}
	n := copy(out, reply)
	copy(out, q.msg[:2])
	copy(out[headerLen:], q.question())
	return n
}

// Limits of TCP.
const (
	maxConns    = 16
	maxAllConns = 128
	idleLimit   = 10 * time.Second
)

func (p *place) serveTCP() {
	for {
		conn, err := p.tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // such as too many open files
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-p.ending.Done():
				return
			}
		}
		client := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
		if p.audience.Load().view(client, p.address) == nil || !p.conns.enter(client) {
			_ = conn.Close()
			continue
		}
		p.running.Go(func() {
			defer p.conns.leave(client)
			stop := context.AfterFunc(p.ending, func() { _ = conn.Close() })
			defer stop()
			defer conn.Close()
			p.talk(conn, client)
		})
	}
}

// talk answers the questions of one connection, one after the other.
func (p *place) talk(conn *net.TCPConn, client netip.Addr) {
	q := new(query)
	for {
		if conn.SetDeadline(time.Now().Add(idleLimit)) != nil {
			return
		}
		msg, err := readTCP(conn, maxQuery)
		view := p.audience.Load().view(client, p.address)
		if err != nil || view == nil {
			return
		}
		out := make([]byte, 2+maxTCP)
		n, ok := respond(view, q, msg, out[2:])
		if !ok {
			n = p.server.upstream.remembered(q, out[2:])
		}
		if !ok && n == 0 {
			n = copy(out[2:], p.askTCP(msg, client))
		}
		if n == 0 {
			return
		}
		if writeTCP(conn, out, n) != nil {
			return
		}
	}
}

func (p *place) askTCP(msg []byte, client netip.Addr) []byte {
	if !p.server.upstream.admit(client) {
		return nil
	}
	defer p.server.upstream.release(client)
	return p.forward(msg, true)
}

// readTCP reads a message with its length before it; see RFC 1035, 4.2.2.
func readTCP(r io.Reader, limit int) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(size[0])<<8 | int(size[1])
	if n > limit {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	msg := make([]byte, n)
	_, err := io.ReadFull(r, msg)
	return msg, err
}

// writeTCP writes the n bytes that follow the first two of b.
func writeTCP(w io.Writer, b []byte, n int) error {
	b[0], b[1] = byte(n>>8), byte(n)
	_, err := w.Write(b[:2+n])
	return err
}
