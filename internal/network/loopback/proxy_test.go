package loopback

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/network/networktest"
)

func TestMain(m *testing.M) { os.Exit(networktest.Main(m)) }

// guest is an address of the loopback interface that stands for one of a guest.
var guest = netip.MustParseAddr("127.2.0.1")

func proxy(t *testing.T, forwards ...Forward) *Proxy {
	t.Helper()
	p := New()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Set(forwards); err != nil {
		t.Fatal(err)
	}
	return p
}

func tcp(first, last, to uint16) Forward {
	return Forward{Protocol: "tcp", Address: netip.IPv6Loopback(), First: first, Last: last, To: to, Guest: []netip.Addr{guest}, Name: "web"}
}

// serveTCP has the guest answer a port.
func serveTCP(t *testing.T, port uint16, f func(*net.TCPConn)) {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(guest, port).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c.(*net.TCPConn))
		}
	}()
}

func dial(t *testing.T, network string, port uint16) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, fmt.Sprintf("[::1]:%d", port), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHalfClose sends much, says that this was all, and then gets it all back.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	serveTCP(t, 1080, func(c *net.TCPConn) {
		defer c.Close()
		all, _ := io.ReadAll(c) // ends with the client's half
		_, _ = c.Write(all)
	})
	proxy(t, tcp(2080, 2080, 1080))
	sent := make([]byte, 8<<20)
	_, _ = rand.Read(sent)
	c := dial(t, "tcp", 2080)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back: %v", len(got), len(sent), err)
	}
}

// TestServerFirst is a guest that says something at once and ends its half.
func TestServerFirst(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 1)
	serveTCP(t, 1081, func(c *net.TCPConn) {
		defer c.Close()
		_, _ = io.WriteString(c, "hello")
		_ = c.CloseWrite()
		b, _ := io.ReadAll(c)
		heard <- string(b)
	})
	proxy(t, tcp(2081, 2081, 1081))
	c := dial(t, "tcp", 2081)
	if b, err := io.ReadAll(c); string(b) != "hello" {
		t.Errorf("%q (%v)", b, err)
	}
	if _, err := io.WriteString(c, "bye"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if got := <-heard; got != "bye" {
		t.Errorf("the guest heard %q", got)
	}
}

// TestRefused is a port at which no program of the guest listens.
func TestRefused(t *testing.T) {
	t.Parallel()
	proxy(t, tcp(2082, 2082, 1082))
	c, err := net.Dial("tcp", "[::1]:2082")
	if err == nil { // it is accepted before the guest is asked
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("not reset but %v", err)
	}
}

// TestLive changes what is served while a connection lasts.
func TestLive(t *testing.T) {
	t.Parallel()
	for _, port := range []uint16{1083, 1084} {
		serveTCP(t, port, func(c *net.TCPConn) {
			defer c.Close()
			fmt.Fprintln(c, port)
			_, _ = io.Copy(c, c)
		})
	}
	say := func(c net.Conn) string {
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(string(b))
	}
	p := proxy(t, tcp(2083, 2083, 1083))
	first := dial(t, "tcp", 2083)
	if got := say(first); got != "1083" {
		t.Error(got)
	}
	if err := p.Set([]Forward{tcp(2083, 2083, 1084)}); err != nil {
		t.Fatal(err)
	}
	if got := say(dial(t, "tcp", 2083)); got != "1084" {
		t.Error(got)
	}
	if err := p.Set(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", "[::1]:2083"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the port is still served: %v", err)
	}
	if _, err := io.WriteString(first, "echo\n"); err != nil {
		t.Fatal(err)
	}
	if got := say(first); got != "echo" {
		t.Errorf("the first connection says %q", got)
	}
}

// TestOneFamily is a program that listens at the second address alone.
func TestOneFamily(t *testing.T) {
	t.Parallel()
	serveTCP(t, 1085, func(c *net.TCPConn) { fmt.Fprint(c, "here"); c.Close() })
	f := tcp(2085, 2085, 1085)
	f.Guest = []netip.Addr{netip.MustParseAddr("127.2.0.2"), guest}
	proxy(t, f)
	if b, err := io.ReadAll(dial(t, "tcp", 2085)); string(b) != "here" {
		t.Errorf("%q (%v)", b, err)
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	serveTCP(t, 1094, func(c *net.TCPConn) { fmt.Fprint(c, "here"); c.Close() })
	proxy(t, tcp(2090, 2099, 1090))
	if b, err := io.ReadAll(dial(t, "tcp", 2094)); string(b) != "here" {
		t.Errorf("%q (%v)", b, err)
	}
}

// TestProblems is a port that is in use, and a range that is too long: both are
// told, and the others are served.
func TestProblems(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp6", "[::1]:2100")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	serveTCP(t, 1101, func(c *net.TCPConn) { fmt.Fprint(c, "here"); c.Close() })
	p := New()
	defer p.Close()
	wanted := []Forward{tcp(2100, 2100, 1100), tcp(2101, 2101, 1101), tcp(10000, 20000, 10000)}
	err = p.Set(wanted)
	want := "tcp port 2100 of [::1] for web: another program of the host listens there\n" +
		"tcp ports 10000-20000 of [::1] for web: not served: that would be more than 1024 ports in all; the host's other addresses answer"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nnot\n%s", err, want)
	}
	if b, err := io.ReadAll(dial(t, "tcp", 2101)); string(b) != "here" {
		t.Errorf("%q (%v)", b, err)
	}
	taken.Close()
	if err := p.Set(wanted[:2]); err != nil {
		t.Errorf("after the port is free: %v", err)
	}
}

// TestNoAddress: what is at an address that the host does not have, as [::1] without
// IPv6, is nobody's trouble.
func TestNoAddress(t *testing.T) {
	t.Parallel()
	f := tcp(2115, 2116, 1115)
	f.Address = netip.MustParseAddr("2001:db8::1")
	udp := f
	udp.Protocol = "udp"
	proxy(t, f, udp)
}

// TestUDP has two clients, which get their own answers, and a guest that
// answers only later.
func TestUDP(t *testing.T) {
	t.Parallel()
	p := proxy(t, Forward{Protocol: "udp", Address: netip.IPv6Loopback(), First: 2110, Last: 2110, To: 1110, Guest: []netip.Addr{guest}, Name: "web"})
	early := dial(t, "udp", 2110)
	if _, err := early.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	server, err := net.ListenPacket("udp", netip.AddrPortFrom(guest, 1110).String())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		b := make([]byte, maxDatagram)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(append([]byte("re:"), b[:n]...), from)
		}
	}()
	for i, c := range []net.Conn{early, dial(t, "udp", 2110), early} {
		said := fmt.Sprint("hello", i, strings.Repeat("x", 20000*i))
		converse(t, c, said)
	}
	if err := p.Set(nil); err != nil {
		t.Fatal(err)
	}
	again := dial(t, "udp", 2110)
	_, _ = again.Write([]byte("x"))
	if _, err := again.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it is still served: %v", err)
	}
}

// converse says something until it is answered: what was said before may have
// been lost, or be answered now.
func converse(t *testing.T, c net.Conn, said string) {
	t.Helper()
	b := make([]byte, maxDatagram)
	for t.Context().Err() == nil {
		_, _ = c.Write([]byte(said))
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for {
			n, err := c.Read(b)
			if err == nil && string(b[:n]) == "re:"+said {
				return
			}
			if err != nil {
				break
			}
		}
	}
	t.Errorf("no answer to %.20q", said)
}

// TestSessions has more clients than there is room for: the oldest give way.
func TestSessions(t *testing.T) {
	t.Parallel()
	x := &exchange{sessions: map[netip.AddrPort]*session{}}
	p := proxy(t, Forward{Protocol: "udp", Address: netip.IPv6Loopback(), First: 2120, Last: 2120, To: 1120, Guest: []netip.Addr{guest}, Name: "web"})
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback, Port: 2121})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	x.conn, x.target, x.buffers = conn, &p.ports[port{"udp", netip.AddrPortFrom(netip.IPv6Loopback(), 2120)}].target, &p.buffers
	for i := range 2 * maxSessions {
		s := x.session(netip.AddrPortFrom(netip.IPv6Loopback(), uint16(3000+i)))
		s.heard.Store(int64(i))
	}
	x.mu.Lock()
	count, first := len(x.sessions), x.sessions[netip.AddrPortFrom(netip.IPv6Loopback(), 3000)]
	x.mu.Unlock()
	if count > maxSessions || first != nil {
		t.Errorf("%d sessions", count)
	}
	x.closeAll()
}
