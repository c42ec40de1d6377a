package firewall

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFlood has a guest open connections without end. It gets its share of what
// the host follows, and no more; others do not notice.
func TestFlood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ filter, guest, iface string }{{"1", "a", "berth0"}, {"0", "p", "ve-p"}} {
		t.Run(c.guest+", bridge-nf-call-iptables="+c.filter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.filter)
			w.update(Rules{}, w.now)
			size, known, err := tableSize()
			if err != nil || !known {
				t.Fatal(size, known, err)
			}
			w.all["near"].serve("tcp", "", 80)
			hw, err := w.host.hardware(c.iface)
			if err != nil {
				t.Fatal(err)
			}
			most := int(lists(size)) * longestList
			f := flooder{t, w.all[c.guest].wire(), func(body []byte) []byte {
				return ether(hw, mac(places[c.guest].last), unix.ETH_P_IP, ipv4(17, address(c.guest, 0), netip.MustParseAddr("198.51.100.99"), body))
			}}
			f.send(most * 9 / 8)
			if have := w.followed(); have > most+1000 || have < most/2 {
				t.Errorf("the host follows %d connections, not about %d", have, most)
			}
			if full := w.full(); fmt.Sprint(full) != map[string]string{"a": fmt.Sprint(Full{MACs: []net.HardwareAddr{mac(places["a"].last)}}), "p": fmt.Sprint(Full{Links: []string{"ve-p"}})}[c.guest] {
				t.Errorf("too many have %v", full)
			}
			have := w.followed()
			f.packet = func(body []byte) []byte { // as another, and as nobody that there is
				return ether(hw, mac(places[c.guest].last), unix.ETH_P_IP, ipv4(17, netip.AddrFrom4([4]byte{10, 88, body[0], body[1]}), address("near", 0), body))
			}
			f.send(20_000)
			if now := w.followed(); now > have+100 {
				t.Errorf("with addresses that are not its own it has %d connections followed", now-have)
			}
			for family := range 2 {
				for range 20 {
					w.all["b"].reaches(t, "tcp", address("near", family).String(), 80, gateway("eth0", family))
					w.host.reaches(t, "tcp", address("near", family).String(), 80, gateway("eth0", family))
				}
			}
			w.intact(t, "after a flood", true)
		})
	}
}

// flooder sends datagrams of which no two are of one connection.
type flooder struct {
	*testing.T
	wire   int
	packet func(body []byte) []byte
}

func (f flooder) send(n int) {
	f.Helper()
	frame := named(f.packet(datagram(1000, 1, "")), "x")
	udp := len(frame) - 8 - len("<x>")
	for i := range n {
		binary.BigEndian.PutUint16(frame[udp:], uint16(1000+i/50_000))
		binary.BigEndian.PutUint16(frame[udp+2:], uint16(1+i%50_000))
		if _, err := unix.Write(f.wire, frame); err != nil && err != unix.ENOBUFS {
			f.Fatal(err)
		}
	}
}

// followed are the connections that the host follows.
func (w *world) followed() (n int) {
	w.host.t.Helper()
	var b []byte
	var err error
	w.host.do(func() { b, err = os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count") })
	if err == nil {
		n, err = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if err != nil {
		w.host.t.Fatal(err)
	}
	return n
}

func (w *world) full() (full Full) {
	w.host.t.Helper()
	var err error
	w.host.do(func() { full, err = w.Full() })
	if err != nil {
		w.host.t.Fatal(err)
	}
	return full
}

// TestScan has a guest, and another machine, look for what is not there on
// networks of berth's: the host does not look for it too.
func TestScan(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+filter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, filter)
			w.update(Rules{}, w.now)
			a, near := w.all["a"], w.all["near"]
			a.ip("route replace 10.88.0.0/24 via 10.88.0.1 dev eth0 onlink")
			a.ip("route replace fd88::/64 via fd88::1 dev eth0")
			for _, scan := range []struct {
				from *ns
				to   string
			}{{a, "10.88.0.77"}, {a, "fd88::77"}, {a, "10.90.0.77"}, {a, "fd90::77"}, {near, "10.90.0.78"}, {near, "fd90::78"}} {
				scan.from.refused(t, "tcp", scan.to, 80)
				if looked := w.host.run("ip", "neigh", "show", "to", scan.to); looked != "" {
					t.Errorf("%s scans: the host looks for %s", scan.from.name, looked)
				}
			}
		})
	}
}
