package loopback

import (
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

// Forward is one port of the host's own address, [::1] or 127.0.0.1, or a range.
type Forward struct {
	Protocol    string     // tcp or udp
	Address     netip.Addr // where clients ask
	First, Last uint16
	To          uint16       // of Guest, for First; the others follow
	Guest       []netip.Addr // who answers: the first, or for TCP the next, where that refuses
	Name        string       // of the guest, for people
}

func (f Forward) String() string {
	at := f.Address.String()
	if f.Address.Is6() {
		at = "[" + at + "]"
	}
	if f.First == f.Last {
		return fmt.Sprintf("%s port %d of %s", f.Protocol, f.First, at)
	}
	return fmt.Sprintf("%s ports %d-%d of %s", f.Protocol, f.First, f.Last, at)
}

// MaxPorts is how many ports are served at most: each one costs a socket and
// some kilobytes.
const MaxPorts = 1024

// Proxy serves ports.
type Proxy struct {
	buffers sync.Pool

	mu    sync.Mutex
	ports map[port]*listener
}

type port struct {
	protocol string
	netip.AddrPort
}

// listener is a port that is served.
type listener struct {
	io.Closer
	target atomic.Pointer[target]
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
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			continue // nobody can ask there, as at [::1] of a host without IPv6
		}
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

// target is where a guest answers, at one address at least.
type target struct {
	addresses []netip.Addr
	port      uint16
}

type goal struct {
	target target
	what   string // for people
}

// choose gives each port its target: that of the first forward that names it,
// and nothing to those that would be too many.
func choose(forwards []Forward) (map[port]goal, []error) {
	wanted := map[port]goal{}
	var errs []error
	for _, f := range forwards {
		what := fmt.Sprintf("%v for %s", f, f.Name)
		if len(f.Guest) == 0 {
			continue
		}
		if len(wanted)+int(f.Last-f.First)+1 > MaxPorts {
			errs = append(errs, fmt.Errorf("%s: not served: that would be more than %d ports in all; the host's other addresses answer", what, MaxPorts))
			continue
		}
		for n := int(f.First); n <= int(f.Last); n++ {
			at := port{f.Protocol, netip.AddrPortFrom(f.Address, uint16(n))}
			if _, taken := wanted[at]; !taken {
				wanted[at] = goal{target{f.Guest, f.To + uint16(n) - f.First}, what}
			}
		}
	}
	return wanted, errs
}

// Close ends everything that is served.
func (p *Proxy) Close() error { return p.Set(nil) }

func (p *Proxy) open(at port, to target) (*listener, error) {
	l := &listener{}
	l.target.Store(&to)
	if at.protocol == "udp" {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at.AddrPort))
		if err != nil {
			return nil, err
		}
		l.Closer = conn
		go (&exchange{conn: conn, buffers: &p.buffers, target: &l.target, sessions: map[netip.AddrPort]*session{}}).serve()
		return l, nil
	}
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at.AddrPort))
	if err != nil {
		return nil, err
	}
	l.Closer = tcp
	go l.accept(tcp)
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
func carry(client *net.TCPConn, to target) {
	defer client.Close()
	guest, err := reach(to)
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	defer guest.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pass(guest, client)
	}()
	pass(client, guest)
	<-done
}

// reach connects to a guest, whose program may listen in one family alone.
func reach(to target) (conn *net.TCPConn, err error) {
	dialer := net.Dialer{Timeout: dialLimit}
	for _, a := range to.addresses {
		c, failed := dialer.Dial("tcp", netip.AddrPortFrom(a, to.port).String())
		if failed == nil {
			return c.(*net.TCPConn), nil
		}
		if err = failed; !errors.Is(failed, syscall.ECONNREFUSED) {
			break
		}
	}
	return nil, err
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
