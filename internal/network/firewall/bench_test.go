package firewall

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
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

// BenchmarkStream sends over one TCP connection, on a thread that stays on one
// processor as that which receives.
func BenchmarkStream(b *testing.B) {
	for _, filter := range []string{"0", "1"} {
		for _, way := range []struct{ from, to, address string }{{"host", "a", "10.88.0.2:9"}, {"a", "host", "10.88.0.1:9"}, {"near", "a", "192.0.2.1:10"}, {"host", "p", "10.77.0.2:9"}, {"host", "near", "192.0.2.2:9"}} {
			b.Run(fmt.Sprintf("%s to %s, bridge-nf-call-iptables=%s", way.from, way.to, filter), func(b *testing.B) {
				w := newWorld(b, filter)
				w.all["host"] = w.host
				w.update(Rules{}, w.now)
				w.guest("a", func(g *Guest) {
					g.Ports = []Port{{Protocol: "tcp", First: 10, Last: 10, To: 9, Guest: []netip.Addr{address("a", 0)}}}
					g.Host = []HostPort{{"tcp", 9, 9}}
				})
				stream(b, w.all[way.from], w.all[way.to], way.address)
			})
		}
	}
}

func stream(b *testing.B, from, to *ns, address string) {
	const size = 128 << 10
	var l net.Listener
	var err error
	to.do(func() { l, err = net.Listen("tcp", ":9") })
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = pinned(0, c, func(fd int) error {
				for buf := make([]byte, size); ; {
					if n, err := unix.Read(fd, buf); n <= 0 {
						return err
					}
				}
			})
		}
		done <- err
	}()
	var c net.Conn
	from.do(func() { c, err = net.Dial("tcp", address) })
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	err = pinned(0, c, func(fd int) error {
		buf := make([]byte, size)
		for b.Loop() {
			if _, err := unix.Write(fd, buf); err != nil {
				return err
			}
		}
		return nil
	})
	err = errors.Join(err, c.Close(), <-done, l.Close())
	if err != nil {
		b.Fatal(err)
	}
}

// pinned calls f with a connection whose reads and writes wait, on one processor.
func pinned(cpu int, c net.Conn, f func(fd int) error) (err error) {
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	defer file.Close()
	onThread(func() {
		var one unix.CPUSet
		one.Set(cpu % runtime.NumCPU())
		if err = errors.Join(unix.SchedSetaffinity(0, &one), unix.SetNonblock(int(file.Fd()), false)); err == nil {
			err = f(int(file.Fd()))
		}
	})
	return errors.Join(err, unix.SetNonblock(int(file.Fd()), true))
}
