package loopback

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of UDP: a client is forgotten when neither side has said anything for
// idleLimit, or for want of room.
const (
	maxSessions = 256 // of one port
	idleLimit   = 60 * time.Second
	maxDatagram = 65535
)

// exchange is one port of UDP, with a socket to the guest for each client.
type exchange struct {
	conn    *net.UDPConn
	buffers *sync.Pool // of *[maxDatagram]byte
	target  *atomic.Pointer[target]

	mu       sync.Mutex
	sessions map[netip.AddrPort]*session
}

// session is one client.
type session struct {
	client netip.AddrPort
	guest  *net.UDPConn
	target netip.AddrPort
	heard  atomic.Int64 // when there was something last, in nanoseconds
}

// serve passes datagrams on until the port is closed.
func (x *exchange) serve() {
	buffer := make([]byte, maxDatagram)
	for {
		n, client, err := x.conn.ReadFromUDPAddrPort(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			x.closeAll()
			return
		case err != nil:
			continue // an earlier answer did not arrive
		}
		if s := x.session(client); s != nil {
			s.heard.Store(time.Now().UnixNano())
			_, _ = s.guest.Write(buffer[:n]) // as lossy as UDP
		}
	}
}

// session is that of a client, which is made where there is none, or where
// another guest answers now.
func (x *exchange) session(client netip.AddrPort) *session {
	x.mu.Lock()
	defer x.mu.Unlock()
	to := x.target.Load()
	target := netip.AddrPortFrom(to.addresses[0], to.port)
	if s := x.sessions[client]; s != nil {
		if s.target == target {
			return s
		}
		x.drop(s)
	}
	if len(x.sessions) >= maxSessions {
		x.drop(x.oldest())
	}
	guest, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return nil
	}
	s := &session{client: client, guest: guest, target: target}
	x.sessions[client] = s
	go x.answer(s)
	return s
}

func (x *exchange) oldest() *session {
	var out *session
	for _, s := range x.sessions {
		if out == nil || s.heard.Load() < out.heard.Load() {
			out = s
		}
	}
	return out
}

// drop forgets a session; the lock is held.
func (x *exchange) drop(s *session) {
	_ = s.guest.Close()
	if x.sessions[s.client] == s {
		delete(x.sessions, s.client)
	}
}

func (x *exchange) closeAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.sessions {
		x.drop(s)
	}
}

// answer passes on what the guest says, until nobody has said anything for a
// while.
func (x *exchange) answer(s *session) {
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.drop(s)
	}()
	raw, err := s.guest.SyscallConn()
	if err != nil {
		return
	}
	for {
		_ = s.guest.SetReadDeadline(time.Now().Add(idleLimit))
		err := raw.Read(func(fd uintptr) bool { return x.passOn(int(fd), s) })
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, s.heard.Load())) >= idleLimit {
			return
		}
	}
}

// passOn passes a datagram of the guest on, if there is one: room for it is
// taken only then.
func (x *exchange) passOn(fd int, s *session) bool {
	buffer := x.buffers.Get().(*[maxDatagram]byte)
	defer x.buffers.Put(buffer)
	n, err := unix.Read(fd, buffer[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return false
	}
	if err == nil { // else nobody listens in the guest yet
		s.heard.Store(time.Now().UnixNano())
		_, _ = x.conn.WriteToUDPAddrPort(buffer[:n], s.client)
	}
	return true
}
