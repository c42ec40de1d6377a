//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// place is a network namespace with a name: the host, another machine, or a
// guest.
type place struct {
	testing.TB
	name  string
	netns *os.File // nil: the test's own
}

// newPlace makes another machine, which goes with the test.
func newPlace(t testing.TB, name string) *place {
	t.Helper()
	p := &place{TB: t, name: name}
	var err error
	onThread(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			p.netns, err = os.Open("/proc/thread-self/ns/net")
		}
	})
	must(t, err)
	t.Cleanup(func() { p.netns.Close() })
	return p
}

// guestPlace is where a guest is.
func (l *lan) guestPlace(name string) *place {
	l.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", l.status(name).Leader))
	must(l, err)
	l.Cleanup(func() { f.Close() })
	return &place{l, name, f}
}

// onThread runs f on a thread that ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// do runs f there. Sockets that it makes stay there.
func (p *place) do(f func()) {
	p.Helper()
	var err error
	onThread(func() {
		if p.netns != nil {
			err = unix.Setns(int(p.netns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			f()
		}
	})
	if err != nil {
		p.Fatalf("enter %s: %v", p.name, err)
	}
}

// serve has TCP and UDP answered on a port of all addresses, each client with
// the address that it is seen at.
func (p *place) serve(port int) {
	p.Helper()
	var l net.Listener
	var c net.PacketConn
	var err error
	p.do(func() {
		l, err = net.Listen("tcp", fmt.Sprint(":", port))
		must(p, err)
		p.Cleanup(func() { l.Close() })
		c, err = net.ListenPacket("udp", fmt.Sprint(":", port))
	})
	must(p, err)
	p.Cleanup(func() { c.Close() })
	go answerTCP(l)
	go answerUDP(c)
}

func answerTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = fmt.Fprint(c, c.RemoteAddr())
		_ = c.Close()
	}
}

func answerUDP(c net.PacketConn) {
	b := make([]byte, 100)
	for {
		_, from, err := c.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err == nil {
			_, _ = c.WriteTo([]byte(from.String()), from)
		}
	}
}

// ask connects from there, and gives the address that the server saw. An answer
// has to come from where the question went.
func (p *place) ask(proto, address string, port int) (seen string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var c net.Conn
	p.do(func() {
		c, err = new(net.Dialer).DialContext(ctx, proto, net.JoinHostPort(address, fmt.Sprint(port)))
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	end, _ := ctx.Deadline()
	if err := c.SetDeadline(end); err != nil {
		return "", err
	}
	if proto == "udp" {
		if _, err := c.Write([]byte("who am I")); err != nil {
			return "", err
		}
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		return "", err
	}
	at, err := netip.ParseAddrPort(string(b[:n]))
	return at.Addr().Unmap().String(), err
}
