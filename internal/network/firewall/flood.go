package firewall

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The host has one table for the connections of all: who fills it takes them
// from the host and from other guests. So that a guest cannot, what it has open
// is counted, in many lists by a hash of each connection: to count one more
// costs the kernel a look at all that are in its list.
const longestList = 48

// lists is how many lists a guest has for a table of so many connections: all
// that they hold is 3/8 of it. The first of them is full when a guest has some
// half of that.
func lists(table int) uint32 { return uint32(max(table/128, 16)) }

// unknownTable is taken for the size of the table where the kernel has not made
// it yet: that of a machine with 1 GiB.
const unknownTable = 1 << 16

// tableSize is the most connections that the kernel follows. It has none as
// long as nobody wanted it to.
func tableSize() (size int, known bool, err error) {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	if errors.Is(err, fs.ErrNotExist) {
		return unknownTable, false, nil
	} else if err != nil {
		return 0, false, err
	}
	size, err = strconv.Atoi(strings.TrimSpace(string(b)))
	if size == 0 { // no limit
		size = unknownTable * 4
	}
	return size, true, err
}

// maxLists are all lists of as many guests as use all of theirs at a time. Those
// in which no connection is left go by themselves.
const maxLists = 1 << 20

// fullFor is how long it is known who had too many connections.
const fullFor = 10 * time.Minute

// floods hold a guest to its share of the connections that the host follows:
// those on bridges by their MAC addresses, which they cannot choose, others by
// their links.
func floods(lists uint32) []chain {
	return []chain{
		{name: "open", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting, priority: nftables.ChainPriorityMangle, rules: []match{
			and(opens(), jump("open-one")),
		}},
		{name: "open-one", rules: []match{
			and(of("macs", in(), macSource()), proceed("open-mac")),
			and(of("ours", in()), proceed("open-link")),
		}},
		{name: "open-mac", rules: []match{
			and(is4(), counts("opened-macs", lists, macSource(), target4()), proceed("full-mac")),
			and(is6(), counts("opened-macs", lists, macSource(), target6()), proceed("full-mac")),
		}},
		{name: "open-link", rules: []match{
			and(is4(), counts("opened-links", lists, in(), target4()), proceed("full-link")),
			and(is6(), counts("opened-links", lists, in(), target6()), proceed("full-link")),
		}},
		{name: "full-mac", rules: []match{and(notes("full-macs", macSource()), drop())}},
		{name: "full-link", rules: []match{and(notes("full-links", in()), drop())}},
	}
}

// opens holds for what begins a connection.
func opens() match { return has(tracked(expr.CtKeySTATE, 0, 4), expr.CtStateBitNEW) }

// counts counts a connection in one of the lists of whoever opens it, and holds
// where that has more than it may.
func counts(set string, lists uint32, who, target field) match {
	m := load([]field{who})
	part := register + (who.bytes+3)/4
	source := part + 1
	hashed := []field{target, tracked(expr.CtKeyPROTOSRC, 0, 2), tracked(expr.CtKeyPROTODST, 0, 2)}
	r, length := source, uint32(0)
	for _, f := range hashed {
		m = append(m, f.load(r))
		words := (f.bytes + 3) / 4
		r, length = r+words, length+words*4
	}
	return append(m,
		&expr.Hash{SourceRegister: source, DestRegister: part, Length: length, Modulus: lists, Type: expr.HashTypeJenkins},
		&expr.Dynset{SrcRegKey: register, SetName: set, Operation: unix.NFT_DYNSET_OP_ADD,
			Exprs: []expr.Any{&expr.Connlimit{Count: longestList, Flags: expr.NFT_CONNLIMIT_F_INV}}})
}

// notes keeps in a set, for a while, who it was.
func notes(set string, who field) match {
	return append(load([]field{who}), &expr.Dynset{SrcRegKey: register, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE})
}

// Full are the guests that have lately been at the limit of their connections,
// by the MAC addresses of those on bridges and the host's names of other links.
type Full struct {
	MACs  []net.HardwareAddr
	Links []string
}

// Full says which guests have lately been refused connections since they have
// too many; none where there are no tables.
func (t Tables) Full() (full Full, err error) {
	conn, err := dial()
	if err != nil {
		return full, err
	}
	defer closing(conn)
	macs, err := inSet(conn, t.table(inet), "full-macs")
	if err != nil {
		return full, err
	}
	links, err := inSet(conn, t.table(inet), "full-links")
	for _, e := range macs {
		full.MACs = append(full.MACs, net.HardwareAddr(e.Key[:6]))
	}
	for _, e := range links {
		full.Links = append(full.Links, unpadded(e.Key))
	}
	return full, err
}
