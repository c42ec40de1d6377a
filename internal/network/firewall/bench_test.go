package firewall

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

// BenchmarkGuest adds and removes one guest with ten ports beside others. What
// is closing does beside is not in it.
func BenchmarkGuest(b *testing.B) {
	for _, others := range []int{1, 100, 500} {
		b.Run(fmt.Sprint("beside ", others), func(b *testing.B) {
			w := bare(b)
			all := some(others + 1)
			w.now = Rules{all.Networks, all.Guests[:others]}
			w.update(Rules{}, w.now)
			one := Rules{all.Networks[len(all.Networks)-1:], all.Guests[others:]}
			w.host.do(func() {
				conn, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				defer conn.CloseLasting()
				for b.Loop() {
					if _, err := w.change(conn, Rules{}, one); err != nil {
						b.Fatal(err)
					}
					if _, err := w.change(conn, one, Rules{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkPorts adds and removes one guest with many ports.
func BenchmarkPorts(b *testing.B) {
	for _, ports := range []uint16{1, 10_000} {
		b.Run(fmt.Sprint(ports, " ports"), func(b *testing.B) {
			w := bare(b)
			w.now = some(2)
			w.update(Rules{}, w.now)
			g := Guest{Links: []Link{{Host: "ve-x", Bridge: "berth0", MAC: mac(1)}}, Ports: []Port{{Protocol: "tcp", First: 20_000, Last: 20_000 + ports - 1,
				To: 20_000, Guest: []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fd00::9")}}}}
			w.host.do(func() {
				conn, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				defer conn.CloseLasting()
				for b.Loop() {
					_, err1 := w.change(conn, Rules{}, Rules{Guests: []Guest{g}})
					_, err2 := w.change(conn, Rules{Guests: []Guest{g}}, Rules{})
					if err1 != nil || err2 != nil {
						b.Fatal(err1, err2)
					}
				}
			})
		})
	}
}

// BenchmarkConnect opens a connection from another machine to a guest through
// one of so many ports.
func BenchmarkConnect(b *testing.B) {
	for _, ports := range []uint16{1, 10_000} {
		b.Run(fmt.Sprint(ports, " ports"), func(b *testing.B) {
			w := newWorld(b, "1")
			w.update(Rules{}, w.now)
			w.guest("a", func(g *Guest) {
				g.Ports = []Port{{Protocol: "tcp", First: 20_000, Last: 20_000 + ports - 1, To: 20_000, Guest: []netip.Addr{address("a", 0)}}}
			})
			w.all["a"].serve("tcp", "", 20_000)
			w.all["near"].do(func() {
				for b.Loop() {
					c, err := net.Dial("tcp", "192.0.2.1:20000")
					if err != nil {
						b.Fatal(err)
					}
					c.(*net.TCPConn).SetLinger(0)
					c.Close()
				}
			})
		})
	}
}
