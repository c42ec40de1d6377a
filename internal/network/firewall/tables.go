package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Tables are the two tables of one instance of berth, in the network namespace
// of the calling thread. Only one caller may change them at a time.
type Tables struct {
	Instance string
	// All are the rules that there have to be after the change that is being
	// made. It is asked where the tables are gone, of another version of berth, or
	// not as they were left.
	All func() (Rules, error)
}

// Update makes of the rules in was those in is, in one transaction: both name
// only what changes. To do so again changes nothing. The networks in was are
// kept while there are other guests on them. It reports whether no guest is
// left, and with it no table.
func (t Tables) Update(was, is Rules) (empty bool, err error) {
	conn, err := dial()
	if err != nil {
		return false, err
	}
	defer closing(conn)
	empty, err = t.change(conn, was, is)
	if unexpected(err) {
		return t.rebuild(conn)
	}
	return empty, err
}

// Rebuild makes the tables anew, of All. The counters of ports begin again.
func (t Tables) Rebuild() (empty bool, err error) {
	conn, err := dial()
	if err != nil {
		return false, err
	}
	defer closing(conn)
	return t.rebuild(conn)
}

// find looks for the tables of this version. The error is ENOENT where one is
// not there.
func (t Tables) find(conn *nftables.Conn) error {
	for _, p := range []place{{inet, links}, {bridge, "ports"}} {
		if _, err := conn.GetSetByName(t.table(p.family), p.set); err != nil {
			return fmt.Errorf("look for the tables %q of nftables: %w", t.Instance, err)
		}
	}
	return nil
}

// unexpected reports whether the tables were not as they should have been:
// something is absent, or there and different.
func unexpected(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY)
}

// The buffers of the socket hold a whole transaction, and the answers to it.
const bufferSize = 64 << 20

func dial() (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetWriteBuffer(bufferSize), c.SetReadBuffer(bufferSize))
	}))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return conn, nil
}

// closing closes conn beside what follows: the kernel closes no socket before
// what was deleted last is out of everybody's sight, some 20 ms.
func closing(conn *nftables.Conn) { go conn.CloseLasting() }

func (t Tables) table(f nftables.TableFamily) *nftables.Table {
	return &nftables.Table{Name: t.Instance, Family: f}
}

func (t Tables) change(conn *nftables.Conn, was, is Rules) (empty bool, err error) {
	old, err := was.elements()
	if err != nil {
		return false, err
	}
	added, err := is.elements()
	if err != nil {
		return false, err
	}
	if err := t.find(conn); err != nil {
		return false, err
	}
	if len(was.Guests) > 0 {
		left, err := t.left(conn, old, added)
		if err != nil {
			return false, fmt.Errorf("read the links in nftables: %w", err)
		}
		if len(left) == 0 {
			return true, t.remove(conn)
		}
		was.Networks = slices.DeleteFunc(slices.Clone(was.Networks), func(n Network) bool { return left[n.Bridge] })
		if old, err = was.elements(); err != nil {
			return false, err
		}
	}
	gone, added := difference(old, added), difference(added, old)
	if err := t.write(conn.SetDeleteElements, gone); err != nil {
		return false, err
	}
	if err := t.write(conn.SetAddElements, added); err != nil {
		return false, err
	}
	if err := conn.Flush(); err != nil {
		return false, fmt.Errorf("change nftables: %w", err)
	}
	return false, nil
}

// difference are the elements of a that are not in b. Both are sorted.
func difference(a, b []element) []element {
	return slices.DeleteFunc(slices.Clone(a), func(e element) bool { return contains(b, e) })
}

// contains reports whether e is one of sorted elements.
func contains(sorted []element, e element) bool {
	_, found := slices.BinarySearchFunc(sorted, e, compare)
	return found
}

// The most elements that a message has: its attributes are shorter than 64 KiB.
const perMessage = 400

// write has op take elements, which are sorted by their sets.
func (t Tables) write(op func(*nftables.Set, []nftables.SetElement) error, elements []element) error {
	for len(elements) > 0 {
		at := elements[0].place
		var part []nftables.SetElement
		for _, e := range elements[:min(len(elements), perMessage)] {
			if e.place != at {
				break
			}
			part = append(part, nftables.SetElement{Key: []byte(e.key), KeyEnd: []byte(e.end), Val: []byte(e.value)})
		}
		if err := op(&nftables.Set{Table: t.table(at.family), Name: at.set}, part); err != nil {
			return fmt.Errorf("write to the set %s: %w", at.set, err)
		}
		elements = elements[len(part):]
	}
	return nil
}

// rebuild replaces both tables, in one transaction.
func (t Tables) rebuild(conn *nftables.Conn) (empty bool, err error) {
	all, err := t.All()
	if err != nil {
		return false, err
	}
	if len(all.Guests) == 0 {
		return true, t.remove(conn)
	}
	elements, err := all.elements()
	if err != nil {
		return false, err
	}
	size, known, err := tableSize()
	if err != nil {
		return false, err
	}
	t.clear(conn)
	if err := t.make(conn, lists(size)); err != nil {
		return false, err
	}
	if err := t.write(conn.SetAddElements, elements); err != nil {
		return false, err
	}
	if err := conn.Flush(); err != nil {
		return false, fmt.Errorf("make the tables %q of nftables: %w", t.Instance, err)
	}
	if !known { // the rules have made the kernel follow connections
		if _, known, err = tableSize(); err == nil && known {
			return t.rebuild(conn)
		}
	}
	return false, err
}

// make makes the tables, with empty sets. The connections of a guest are counted
// in so many lists.
func (t Tables) make(conn *nftables.Conn, lists uint32) error {
	tables := map[nftables.TableFamily]*nftables.Table{inet: conn.AddTable(t.table(inet)), bridge: conn.AddTable(t.table(bridge))}
	for i, s := range sets() {
		if err := conn.AddSet(s.nft(tables[s.family], i+1), nil); err != nil {
			return fmt.Errorf("make the set %s: %w", s.name, err)
		}
	}
	addChains(conn, tables[inet], inetChains(lists))
	addChains(conn, tables[bridge], bridgeChains())
	return nil
}

// addChains makes chains, and then their rules, which jump to chains.
func addChains(conn *nftables.Conn, table *nftables.Table, chains []chain) {
	var made []*nftables.Chain
	for _, c := range chains {
		made = append(made, conn.AddChain(&nftables.Chain{Table: table, Name: c.name, Type: c.kind, Hooknum: c.hook, Priority: c.priority}))
	}
	for i, c := range chains {
		for _, r := range c.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: made[i], Exprs: r})
		}
	}
}

// clear takes the tables away, whether they are there or not.
func (t Tables) clear(conn *nftables.Conn) {
	for _, f := range []nftables.TableFamily{inet, bridge} {
		conn.DelTable(conn.AddTable(t.table(f)))
	}
}

func (t Tables) remove(conn *nftables.Conn) error {
	t.clear(conn)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove the tables %q of nftables: %w", t.Instance, err)
	}
	return nil
}

// left are the bridges, and links without bridge, of the links that there will
// be.
func (t Tables) left(conn *nftables.Conn, old, added []element) (map[string]bool, error) {
	there, err := conn.GetSetElements(&nftables.Set{Table: t.table(inet), Name: links})
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	keep := func(key string) { out[unpadded([]byte(key[:unix.IFNAMSIZ]))] = true }
	for _, e := range there {
		if !slices.ContainsFunc(old, func(o element) bool { return o.set == links && o.key == string(e.Key) }) {
			keep(string(e.Key))
		}
	}
	for _, e := range added {
		if e.set == links {
			keep(e.key)
		}
	}
	return out, nil
}

// Counter is what went through one port of the host, in one direction.
type Counter struct {
	Protocol       string // tcp or udp
	Port           uint16 // the host's
	Guest          netip.Addr
	Answer         bool // from the guest
	Packets, Bytes uint64
}

// Counters are those of all ports of this instance, in no order; none where
// there are no tables.
func (t Tables) Counters() ([]Counter, error) {
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	defer closing(conn)
	var out []Counter
	for _, name := range []string{"count4", "count6"} {
		elements, err := inSet(conn, t.table(inet), name)
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			if c, ok := counter(e); ok {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// counter reads an element of the sets of counters.
func counter(e nftables.SetElement) (Counter, bool) {
	if len(e.Key) < 16 || e.Counter == nil {
		return Counter{}, false
	}
	guest, ok := netip.AddrFromSlice(e.Key[12:])
	c := Counter{Protocol: "tcp", Port: binary.BigEndian.Uint16(e.Key[8:]), Guest: guest, Answer: e.Key[0] == 1,
		Packets: e.Counter.Packets, Bytes: e.Counter.Bytes}
	if e.Key[4] == unix.IPPROTO_UDP {
		c.Protocol = "udp"
	}
	return c, ok
}
