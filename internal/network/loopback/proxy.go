package loopback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Forward is one port of [::1], or a range.
type Forward struct {
	Protocol    string // tcp or udp
	First, Last uint16
	To          uint16     // of Guest, for First; the others follow
	Guest       netip.Addr // who answers
	Name        string     // of the guest, for people
}

func (f Forward) String() string {
	if f.First == f.Last {
		return fmt.Sprintf("%s port %d of [::1]", f.Protocol, f.First)
	}
	return fmt.Sprintf("%s ports %d-%d of [::1]", f.Protocol, f.First, f.Last)
}

// MaxPorts is how many ports are served at most: each one costs a socket and
// some kilobytes.
const MaxPorts = 1024

// address is where all of it listens.
const address = "::1"

// Proxy serves ports.
type Proxy struct {
	buffers sync.Pool

	mu    sync.Mutex
	ports map[port]*listener
}

type port struct {
	protocol string
	number   uint16
}

// listener is a port that is served.
type listener struct {
	io.Closer
	target atomic.Pointer[netip.AddrPort]
}

// New serves nothing before Set.
func New() *Proxy {
	return &Proxy{ports: map[port]*listener{}, buffers: sync.Pool{New: func() any { return new([maxDatagram]byte) }}}
}

// Set has exactly these ports served from now on. A connection goes on as long
// as both ends want, also where its port is served no more. What could not be
// is in the error, and is tried again by the next Set.
func (p *Proxy) Set(forwards []Forward) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted, errs := choose(forwards)
	for at, l := range p.ports {
		if _, ok := wanted[at]; !ok {
			_ = l.Close()
			delete(p.ports, at)
		}
	}
	failed := map[string][]error{} // by the forward
	for at, w := range wanted {
		if l := p.ports[at]; l != nil {
			l.target.Store(&w.target)
			continue
		}
		l, err := p.open(at, w.target)
		if err != nil {
			failed[w.what] = append(failed[w.what], err)
			continue
		}
		p.ports[at] = l
	}
	for what, causes := range failed {
		errs = append(errs, fmt.Errorf("%s: %w", what, reason(causes)))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// reason is why some ports of a forward are not served.
func reason(causes []error) error {
	err := causes[0]
	if errors.Is(err, syscall.EADDRINUSE) {
		err = errors.New("another program of the host listens there")
	}
	if len(causes) > 1 {
		err = fmt.Errorf("%d of them: %w", len(causes), err)
	}
	return err
}

type goal struct {
	target netip.AddrPort
	what   string // for people
}

// choose gives each port its target: that of the first forward that names it,
// and nothing to those that would be too many.
func choose(forwards []Forward) (map[port]goal, []error) {
	wanted := map[port]goal{}
	var errs []error
	for _, f := range forwards {
		what := fmt.Sprintf("%v for %s", f, f.Name)
		if len(wanted)+int(f.Last-f.First)+1 > MaxPorts {
			errs = append(errs, fmt.Errorf("%s: not served: that would be more than %d ports in all; the host's other addresses answer", what, MaxPorts))
			continue
		}
		for n := int(f.First); n <= int(f.Last); n++ {
			at := port{f.Protocol, uint16(n)}
			if _, taken := wanted[at]; !taken {
				wanted[at] = goal{netip.AddrPortFrom(f.Guest, f.To+uint16(n)-f.First), what}
			}
		}
	}
	return wanted, errs
}

// Close ends everything that is served.
func (p *Proxy) Close() error { return p.Set(nil) }

func (p *Proxy) open(at port, target netip.AddrPort) (*listener, error) {
	l := &listener{}
	l.target.Store(&target)
	where := net.JoinHostPort(address, fmt.Sprint(at.number))
	if at.protocol == "udp" {
		conn, err := net.ListenPacket("udp6", where)
		if err != nil {
			return nil, err
		}
		l.Closer = conn
		go (&exchange{conn: conn.(*net.UDPConn), buffers: &p.buffers, target: &l.target, sessions: map[netip.AddrPort]*session{}}).serve()
		return l, nil
	}
	tcp, err := net.Listen("tcp6", where)
	if err != nil {
		return nil, err
	}
	l.Closer = tcp
	go l.accept(tcp.(*net.TCPListener))
	return l, nil
}

// accept takes connections until the listener is closed.
func (l *listener) accept(tcp *net.TCPListener) {
	for {
		conn, err := tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // such as too many open files
			<-time.After(100 * time.Millisecond)
		default:
			go carry(conn, *l.target.Load())
		}
	}
}

// dialLimit is how long a guest may take to answer a connection.
const dialLimit = 20 * time.Second

// carry joins a connection with one to the guest. Where the guest refuses it is
// reset, as a connection to the guest itself would have been.
func carry(client *net.TCPConn, target netip.AddrPort) {
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", target.String())
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	guest := conn.(*net.TCPConn)
	defer guest.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pass(guest, client)
	}()
	pass(client, guest)
	<-done
}

// pass copies one direction, in the kernel, and passes its end on. Where it
// broke, the other direction breaks too.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0)
		_ = from.SetLinger(0)
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}
