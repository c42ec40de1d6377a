package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// patience is how long a test waits for an answer that has to come.
const patience = 5 * time.Second

// serve answers on a port of n, with the address that it sees the client at.
// The address may be empty: all.
func (n *ns) serve(proto, address string, port int) {
	n.t.Helper()
	at := net.JoinHostPort(address, fmt.Sprint(port))
	var err error
	n.do(func() {
		if proto == "tcp" {
			var l net.Listener
			if l, err = net.Listen("tcp", at); err == nil {
				n.t.Cleanup(func() { l.Close() })
				go answerTCP(l)
			}
			return
		}
		var c net.PacketConn
		if c, err = net.ListenPacket("udp", at); err == nil {
			n.t.Cleanup(func() { c.Close() })
			go answerUDP(c)
		}
	})
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
}

func answerTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(c, c.RemoteAddr())
		c.Close()
	}
}

func answerUDP(c net.PacketConn) {
	b := make([]byte, 100)
	for {
		_, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		c.WriteTo([]byte(from.String()), from)
	}
}

// ask connects from n, and gives the address that the server saw.
func (n *ns) ask(proto, address string, port int, wait time.Duration) (seen netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), wait)
	defer cancel()
	var c net.Conn
	n.do(func() { c, err = new(net.Dialer).DialContext(ctx, proto, net.JoinHostPort(address, fmt.Sprint(port))) })
	if err != nil {
		return seen, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	if proto == "udp" {
		if _, err := c.Write([]byte("who")); err != nil {
			return seen, err
		}
	}
	b := make([]byte, 100)
	k, err := c.Read(b)
	if err != nil {
		return seen, err
	}
	p, err := netip.ParseAddrPort(string(b[:k]))
	return p.Addr().Unmap(), err
}

// reaches has n ask, and be seen as one of the addresses.
func (n *ns) reaches(t *testing.T, proto, address string, port int, as ...string) {
	t.Helper()
	seen, err := n.ask(proto, address, port, patience)
	if err != nil {
		t.Errorf("%s asks %s %s port %d: %v", n.name, proto, address, port, err)
		return
	}
	for _, a := range as {
		if seen.String() == a {
			return
		}
	}
	t.Errorf("%s asks %s %s port %d: seen as %v, not as %v", n.name, proto, address, port, seen, as)
}

// refused has n ask, and be told at once that it may not: TCP does not have to try
// a second time.
func (n *ns) refused(t *testing.T, proto, address string, port int) {
	t.Helper()
	before := n.run("nstat", "-asz", "TcpExtTCPSynRetrans")
	defer func() {
		if after := n.run("nstat", "-asz", "TcpExtTCPSynRetrans"); after != before {
			t.Errorf("%s asks %s %s port %d: is refused after it has asked again: %s%s", n.name, proto, address, port, before, after)
		}
	}()
	seen, err := n.ask(proto, address, port, patience)
	var timeout net.Error
	if err == nil {
		t.Errorf("%s asks %s %s port %d: answered, seen as %v", n.name, proto, address, port, seen)
	} else if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("%s asks %s %s port %d: waits in vain, is not refused", n.name, proto, address, port)
	}
}

// ping sends one echo request, and wants its answer.
func (n *ns) ping(t *testing.T, family int, address string) {
	t.Helper()
	network := []string{"ip4:icmp", "ip6:ipv6-icmp"}[family]
	request := [][]byte{{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}, {128, 0, 0, 0, 0, 1, 0, 1}}[family] // the kernel sums ICMPv6 itself
	answer := []byte{0, 129}[family]
	var c *net.IPConn
	var err error
	n.do(func() { c, err = net.DialIP(network, nil, &net.IPAddr{IP: net.ParseIP(address)}) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	for {
		if k, _, err := c.ReadFrom(b); err != nil {
			t.Errorf("%s pings %s: %v", n.name, address, err)
			return
		} else if k > 0 && b[0] == answer {
			return
		}
	}
}
