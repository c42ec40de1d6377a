package firewall

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
)

// TestVersion makes sure that tables with other chains or sets have another
// version.
func TestVersion(t *testing.T) {
	t.Parallel()
	sum := sha256.New()
	conn, err := nftables.New(nftables.WithTestDial(func(sent []netlink.Message) ([]netlink.Message, error) {
		for _, m := range sent {
			sum.Write([]byte(strings.ReplaceAll(string(m.Data), version, "")))
		}
		return sent, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := (Tables{Instance: "berth"}).make(conn, 1); err != nil {
		t.Fatal(err)
	}
	_ = conn.Flush() // nobody answers
	if got := hex.EncodeToString(sum.Sum(nil)[:4]); got != version {
		t.Errorf("the tables are not of version %s any more: set it to %s", version, got)
	}
}

// content is what is in the sets and maps of the tables, by their names.
func (w *world) content() map[string][]string {
	w.host.t.Helper()
	out := map[string][]string{}
	var err error
	w.host.do(func() {
		var conn *nftables.Conn
		if conn, err = nftables.New(); err != nil {
			return
		}
		for _, s := range sets() {
			if out[fmt.Sprintf("%d %s", s.family, s.name)], err = w.elements(conn, s); err != nil {
				return
			}
		}
	})
	if err != nil {
		w.host.t.Fatal(err)
	}
	return out
}

// elements are those of a set, sorted: what two readings agree on, since one may
// miss some while the set grows.
func (w *world) elements(conn *nftables.Conn, s set) (out []string, err error) {
	for before := []string{"not read"}; !slices.Equal(out, before); {
		elements, err := w.Tables.content(conn, place{s.family, s.name})
		if err != nil {
			return nil, err
		}
		before, out = out, nil
		for _, e := range elements {
			out = append(out, fmt.Sprintf("%x-%x=%x", e.key, e.end, e.value))
		}
	}
	return out, nil
}

// same wants the tables to have a content.
func (w *world) same(t *testing.T, when string, want map[string][]string) {
	t.Helper()
	for name, got := range w.content() {
		if !slices.Equal(got, want[name]) {
			t.Errorf("%s: %s is\n%v, not\n%v", when, name, got, want[name])
		}
	}
}

func bare(t testing.TB) *world {
	w := &world{host: newNS(t, "host")}
	w.Tables = Tables{Instance: "berth-01234567", All: func() (Rules, error) { return w.now, nil }}
	return w
}

// some are rules for a number of guests, four on each bridge and one of five on
// a link of its own.
func some(guests int) Rules {
	var out Rules
	for i := range guests {
		l := Link{Host: fmt.Sprintf("ve-%d", i), MAC: mac(byte(i)), Addresses: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i / 5), 0, byte(2 + i%5)}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, byte(i / 5), 15: byte(2 + i%5)}), 64)}}
		gates := []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i / 5), 0, 1})}
		if i%5 < 4 {
			l.Bridge, l.Isolated = fmt.Sprintf("berth%d", i/5), i/5%3 == 0
			if i%5 == 0 {
				out.Networks = append(out.Networks, Network{Bridge: l.Bridge, Gateways: gates, NAT: i%2 == 0, Isolated: i%3 == 0, DHCP: i%7 == 0})
			}
		} else {
			l.Gateways, l.NAT = gates, true
		}
		g := Guest{Links: []Link{l}, Host: []HostPort{{"udp", 1, 10}, {"udp", 5, 20}, {"tcp", 7, 7}}}
		for _, a := range l.Addresses {
			g.Ports = append(g.Ports, Port{Protocol: "tcp", First: uint16(1000 + i*5), Last: uint16(1004 + i*5), To: 80, Guest: []netip.Addr{a.Addr()}})
		}
		out.Guests = append(out.Guests, g)
	}
	return out
}

// TestChanges has guests come, change and go in any order. After each step the
// tables are what they would be if they were made anew.
func TestChanges(t *testing.T) {
	t.Parallel()
	w := bare(t)
	all := some(20)
	random := rand.New(rand.NewPCG(1, 2))
	here := map[int]Guest{}
	network := func(g Guest) []Network {
		return slices.DeleteFunc(slices.Clone(all.Networks), func(n Network) bool { return n.Bridge != g.Links[0].Bridge })
	}
	for step := range 200 {
		i := random.IntN(len(all.Guests))
		g := all.Guests[i]
		var was, is Rules
		if old, ok := here[i]; ok {
			was = Rules{network(old), []Guest{old}}
		}
		if random.IntN(5) < 3 || len(here) == 0 {
			g.Ports = g.Ports[:random.IntN(3)]
			is = Rules{network(g), []Guest{g}}
			here[i] = g
		} else {
			delete(here, i)
		}
		w.now = Rules{Guests: slices.Collect(maps.Values(here))}
		for _, n := range all.Networks {
			if slices.ContainsFunc(w.now.Guests, func(g Guest) bool { return g.Links[0].Bridge == n.Bridge }) {
				w.now.Networks = append(w.now.Networks, n)
			}
		}
		if empty := w.update(was, is); empty != (len(here) == 0) {
			t.Fatalf("step %d: %d guests, and empty is %v", step, len(here), empty)
		} else if empty {
			w.clean(t, "")
			continue
		}
		w.intact(t, fmt.Sprintf("step %d", step), true)
		got := w.content()
		w.rebuild()
		w.same(t, fmt.Sprintf("step %d, with %d guests, made anew", step, len(here)), got)
	}
}

func (w *world) rebuild() {
	w.host.t.Helper()
	var err error
	w.host.do(func() { _, err = w.Tables.Rebuild() })
	if err != nil {
		w.host.t.Fatal(err)
	}
}

// clean wants the rules of everybody to be these.
func (w *world) clean(t *testing.T, want string) {
	t.Helper()
	if got := w.host.run("nft", "list", "ruleset"); got != want {
		t.Errorf("left behind:\n%s", got)
	}
}

// TestRepeat adds, changes and removes twice, as after a kill.
func TestRepeat(t *testing.T) {
	t.Parallel()
	w := bare(t)
	one := some(1)
	w.now = one
	w.update(Rules{}, one)
	want := w.content()
	w.update(Rules{}, one)
	w.same(t, "added again", want)
	other := Rules{one.Networks, []Guest{{Links: one.Guests[0].Links}}}
	w.now = other
	w.update(one, other)
	want = w.content()
	w.update(one, other)
	w.same(t, "changed again", want)
	w.now = Rules{}
	for range 2 {
		if !w.update(other, Rules{}) {
			t.Error("something is left")
		}
		w.clean(t, "")
	}
}

// TestOthers leaves the tables of others as they are.
func TestOthers(t *testing.T) {
	t.Parallel()
	w := bare(t)
	for _, line := range []string{"add table inet berth", "add chain inet berth forward { type filter hook forward priority 0; policy drop; }",
		"add set inet berth ours { type ifname; }", "add element inet berth ours { eth7 }", "add table bridge berth", "add table ip filter"} {
		w.host.run("nft", line)
	}
	want := w.host.run("nft", "list", "ruleset")
	w.now = some(10)
	w.update(Rules{}, w.now)
	all := w.now
	w.now = Rules{}
	w.update(all, Rules{})
	w.clean(t, want)
}

// TestRuined has berth's tables made anew when others have taken them away, or
// another version of berth has left them.
func TestRuined(t *testing.T) {
	t.Parallel()
	w := bare(t)
	all := some(10)
	w.now = all
	w.update(Rules{}, all)
	want := w.content()
	for _, ruin := range []string{"flush ruleset", "delete table bridge " + w.Instance, "delete table inet " + w.Instance,
		"delete set inet " + w.Instance + " " + links, "flush map inet " + w.Instance + " all4"} {
		w.intact(t, "before "+ruin, true)
		w.host.run("nft", ruin)
		w.intact(t, ruin, false)
		g := all.Guests[3]
		less := Guest{Links: g.Links}
		w.now = Rules{all.Networks, slices.Concat(all.Guests[:3], []Guest{less}, all.Guests[4:])}
		w.update(Rules{Guests: []Guest{g}}, Rules{Guests: []Guest{less}})
		w.now = all
		w.update(Rules{Guests: []Guest{less}}, Rules{Guests: []Guest{g}})
		w.same(t, ruin, want)
	}
}

// intact wants the tables to be as they were left, or not.
func (w *world) intact(t *testing.T, when string, want bool) {
	t.Helper()
	var got bool
	var err error
	w.host.do(func() { got, err = w.Tables.Intact() })
	if err != nil || got != want {
		t.Errorf("%s: intact: %v, %v", when, got, err)
	}
}

// TestIncomplete has others take away a part of what is in the tables, of which
// a change would notice nothing.
func TestIncomplete(t *testing.T) {
	t.Parallel()
	w := bare(t)
	w.now = some(10)
	w.update(Rules{}, w.now)
	want := w.content()
	for _, ruin := range []string{"flush table inet " + w.Instance, "flush table bridge " + w.Instance, "flush chain inet " + w.Instance + " ports-in",
		"flush set bridge " + w.Instance + " macs", "add element inet " + w.Instance + " all4 { tcp . 9 : 10.0.0.2 . 9 }"} {
		w.host.run("nft", ruin)
		w.intact(t, ruin, false)
		w.rebuild()
		w.intact(t, "after "+ruin, true)
		w.same(t, ruin, want)
	}
}

// TestRefused wants errors that say what is wrong, and no half of a change.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := bare(t)
	two := some(2)
	w.now = Rules{two.Networks, two.Guests[:1]}
	w.update(Rules{}, w.now)
	want := w.content()
	same := two.Guests[1]
	same.Ports = []Port{{Protocol: "tcp", First: 1000, Last: 1000, To: 22, Guest: []netip.Addr{netip.MustParseAddr("10.0.0.3")}}}
	long := Guest{Links: []Link{{Host: "ve-a-name-that-is-too-long", Bridge: "berth0", MAC: mac(1)}}}
	for text, g := range map[string]Guest{
		"taken by another guest":  same,
		"no name of an interface": long,
		"no MAC address":          {Links: []Link{{Host: "ve-x", Bridge: "berth0"}}},
		"neither tcp nor udp":     {Ports: []Port{{Protocol: "sctp", First: 1, Last: 1, To: 1}}},
		"cannot become":           {Ports: []Port{{Protocol: "tcp", First: 1, Last: 10, To: 65530}}},
	} {
		w.now = Rules{two.Networks, []Guest{two.Guests[0], g}}
		var err error
		w.host.do(func() { _, err = w.Tables.Update(Rules{}, Rules{Guests: []Guest{g}}) })
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, not %q", err, text)
		}
		w.same(t, text, want)
	}
}
