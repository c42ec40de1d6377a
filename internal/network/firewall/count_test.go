package firewall

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCounters wants what goes through a port counted once in each direction,
// however it comes there.
func TestCounters(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+filter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, filter)
			w.update(Rules{}, w.now)
			for _, name := range []string{"b", "p"} {
				w.all[name].serve("udp", "", 80)
			}
			w.guest("b", func(g *Guest) { g.Ports = portsOf("b", 8000) })
			w.guest("p", func(g *Guest) { g.Ports = portsOf("p", 8010) })
			asked := map[int]uint64{}
			for family := range 2 {
				for _, port := range []int{8001, 8011} {
					for _, from := range []*ns{w.all["near"], w.host, w.all["a"], w.all["b"], w.all["p"]} {
						if _, err := from.ask("udp", gateway("eth0", family), port, patience); err != nil {
							t.Fatal(from.name, err)
						}
						asked[port]++
					}
				}
			}
			var counters []Counter
			var err error
			w.host.do(func() { counters, err = w.Counters() })
			if err != nil || len(counters) != 2*2*3*2*2 { // guests, protocols, ports, families, directions
				t.Fatalf("%d counters, %v", len(counters), err)
			}
			got := map[Counter]uint64{}
			for _, c := range counters {
				if (c.Packets == 0) != (c.Bytes == 0) || c.Packets > 0 && !slices.Contains([]int{8001, 8011}, int(c.Port)) {
					t.Errorf("%+v", c)
				}
				got[Counter{Protocol: c.Protocol, Port: c.Port, Answer: c.Answer}] += c.Packets
			}
			for port, n := range asked {
				for _, answer := range []bool{false, true} {
					if c := got[Counter{Protocol: "udp", Port: uint16(port), Answer: answer}]; c != n {
						t.Errorf("port %d, answers %v: %d packets, not %d", port, answer, c, n)
					}
				}
			}
		})
	}
}

// TestEcho has the ports of a bridge send back what came from them, as guests
// need that use their own ports on the host, but nothing that is for all.
func TestEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "0")
	w.update(Rules{}, w.now)
	a, b := w.all["a"].wire(), w.all["b"].wire()
	if err := unix.SetsockoptInt(a, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		t.Fatal(err)
	}
	everybody := []byte{255, 255, 255, 255, 255, 255}
	from, to := probe{t, a, b}, probe{t, b, a}
	from.check([]spoof{{"to all", ether(everybody, mac(places["a"].last), unix.ETH_P_ARP, arpRequest(mac(places["a"].last), address("a", 0))), true}})
	to.send([]spoof{{"back", ether(everybody, mac(places["b"].last), unix.ETH_P_ARP, arpRequest(mac(places["b"].last), address("b", 0))), true}})
	if seen := to.seen("back"); seen["to all"] {
		t.Error("a guest hears what it has said to all")
	}
}
