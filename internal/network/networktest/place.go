package networktest

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

// Place is a network namespace with a name: the host, another machine, or a
// guest.
type Place struct {
	testing.TB
	Label string
	Netns *os.File // nil: the test's own
}

// NewPlace makes another machine, which goes with the test.
func NewPlace(t testing.TB, name string) *Place {
	t.Helper()
	p := &Place{TB: t, Label: name}
	var err error
	onThread(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			p.Netns, err = os.Open("/proc/thread-self/ns/net")
		}
	})
	must(t, err)
	t.Cleanup(func() { p.Netns.Close() })
	return p
}

// PlaceOf is the place whose network namespace is that of the process pid.
func PlaceOf(t testing.TB, name string, pid int) *Place {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return &Place{t, name, f}
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

// Do runs f there. Sockets that it makes stay there.
func (p *Place) Do(f func()) {
	p.Helper()
	var err error
	onThread(func() {
		if p.Netns != nil {
			err = unix.Setns(int(p.Netns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			f()
		}
	})
	if err != nil {
		p.Fatalf("enter %s: %v", p.Label, err)
	}
}

// Serve has TCP and UDP answered on a port of all addresses, each client with
// the address that it is seen at.
func (p *Place) Serve(port int) {
	p.Helper()
	var l net.Listener
	var c net.PacketConn
	var err error
	p.Do(func() {
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

// Ask connects from there, and gives the address that the server saw. An answer
// has to come from where the question went.
func (p *Place) Ask(proto, address string, port int) (seen string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var c net.Conn
	p.Do(func() {
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
