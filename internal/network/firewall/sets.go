package firewall

import (
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
)

// version is part of the name of the set "links". It tells tables of this berth
// from those that another version has made with other chains: these are made
// anew. TestVersion says when it has to change.
const version = "3bf3d27c"

// links holds every link that there are rules for, by bridge (or the
// interface itself) and interface. The last one takes the tables with it.
const links = "links-" + version

// The most links. A set of fixed size is the one kind that can be read as a
// whole: others may grow meanwhile, and show elements twice or not at all.
const maxLinks = 8192

// set is one set or map of a table.
type set struct {
	family   nftables.TableFamily
	name     string
	key      []nftables.SetDatatype
	data     []nftables.SetDatatype // of maps
	interval bool
	counter  bool
	dynamic  bool          // what is in it comes of packets
	timeout  time.Duration // after which it goes again; 0: it depends
	size     uint32        // the most elements; 0: any
}

// The families of the two tables.
const (
	inet   = nftables.TableFamilyINet
	bridge = nftables.TableFamilyBridge
)

// sets are the sets and maps of both tables.
func sets() []set {
	type types = []nftables.SetDatatype
	name, mac := nftables.TypeIFName, nftables.TypeEtherAddr
	ip4, ip6 := nftables.TypeIPAddr, nftables.TypeIP6Addr
	protocol, service := nftables.TypeInetProto, nftables.TypeInetService
	return []set{
		{family: inet, name: links, key: types{name, name}, size: maxLinks},
		// Bridges and links of berth's own, by what they may.
		{family: inet, name: "ours", key: types{name}},
		{family: inet, name: "nat", key: types{name}},
		{family: inet, name: "bridges", key: types{name}},
		{family: inet, name: "isolated", key: types{name}},
		{family: inet, name: "dhcp", key: types{name}},
		{family: inet, name: "same", key: types{name, name}},
		{family: inet, name: "dns4", key: types{name, ip4}},
		{family: inet, name: "dns6", key: types{name, ip6}},
		// Links without bridge, and what guests may send on them; and ports of bridges,
		// on which there is nothing for the host.
		{family: inet, name: "points", key: types{name}},
		{family: inet, name: "source4", key: types{name, ip4}},
		{family: inet, name: "source6", key: types{name, ip6}},
		// Ports of the host: on all addresses, and on one.
		{family: inet, name: "all4", key: types{protocol, service}, data: types{ip4, service}},
		{family: inet, name: "all6", key: types{protocol, service}, data: types{ip6, service}},
		{family: inet, name: "one4", key: types{ip4, protocol, service}, data: types{ip4, service}},
		{family: inet, name: "one6", key: types{ip6, protocol, service}, data: types{ip6, service}},
		// Those that the kernel cannot lead from 127.0.0.1 to their guests, since
		// these are on bridges that are not berth's, without route_localnet.
		{family: inet, name: "proxied", key: types{protocol, service}},
		// Ports whose guests are on isolated networks, and by these; and those whose
		// guests are on bridges that are not berth's, which isolated guests reach as they do
		// the world. The address is zero for ports of all addresses.
		{family: inet, name: "shut4", key: types{ip4, protocol, service}},
		{family: inet, name: "shut6", key: types{ip6, protocol, service}},
		{family: inet, name: "own4", key: types{name, ip4, protocol, service}},
		{family: inet, name: "own6", key: types{name, ip6, protocol, service}},
		{family: inet, name: "outer4", key: types{ip4, protocol, service}},
		{family: inet, name: "outer6", key: types{ip6, protocol, service}},
		// Who reaches a guest without passing the host: through a port, it has to be
		// sent back through the host. On berth's links that are guests, by where
		// packets go and whence they are; on other bridges all that are on the link,
		// by both addresses.
		{family: inet, name: "near4", key: types{name, ip4}},
		{family: inet, name: "near6", key: types{name, ip6}},
		{family: inet, name: "lan4", key: types{ip4, ip4}, interval: true},
		{family: inet, name: "lan6", key: types{ip6, ip6}, interval: true},
		// Ports of the host that guests may use. Sets of intervals cost all of their
		// size with every change, so that only long ranges are in them.
		{family: inet, name: "host4", key: types{ip4, protocol, service}},
		{family: inet, name: "host6", key: types{ip6, protocol, service}},
		{family: inet, name: "range4", key: types{ip4, protocol, service}, interval: true},
		{family: inet, name: "range6", key: types{ip6, protocol, service}, interval: true},
		// Guests on bridges, by the bridge; how many connections they have open, in
		// lists; and who had too many.
		{family: inet, name: "macs", key: types{name, mac}},
		{family: inet, name: "opened-macs", key: types{mac, nftables.TypeMark}, dynamic: true, size: maxLists},
		{family: inet, name: "opened-links", key: types{name, nftables.TypeMark}, dynamic: true, size: maxLists},
		{family: inet, name: "full-macs", key: types{mac}, dynamic: true, size: maxLinks, timeout: fullFor},
		{family: inet, name: "full-links", key: types{name}, dynamic: true, size: maxLinks, timeout: fullFor},
		// What went through ports: direction, protocol, port, guest.
		{family: inet, name: "count4", key: types{nftables.TypeCTDir, protocol, service, ip4}, counter: true},
		{family: inet, name: "count6", key: types{nftables.TypeCTDir, protocol, service, ip6}, counter: true},

		// Ports of bridges; those of bridges that are not berth's; and the kinds of
		// packets of which only the MAC address is looked at there.
		{family: bridge, name: "ports", key: types{name}},
		{family: bridge, name: "foreign", key: types{name}},
		{family: bridge, name: "free", key: types{name, nftables.TypeEtherType}},
		{family: bridge, name: "macs", key: types{name, mac}},
		{family: bridge, name: "source4", key: types{name, mac, ip4}},
		{family: bridge, name: "source6", key: types{name, mac, ip6}},
		{family: bridge, name: "loop", key: types{name, name}},
	}
}

// nft is s in the words of the library. Its id is free within a transaction.
func (s set) nft(table *nftables.Table, id int) *nftables.Set {
	var order binaryutil.ByteOrder // for nft(8), which lists names in that of the machine
	key := nftables.MustConcatSetType(s.key...)
	if len(s.key) == 1 {
		key = s.key[0] // without what fills it up to four bytes
	}
	if key.Name == nftables.TypeIFName.Name {
		order = binaryutil.NativeEndian
	}
	return &nftables.Set{
		Table: table, Name: s.name, ID: uint32(id), KeyByteOrder: order,
		KeyType: key, Concatenation: len(s.key) > 1,
		IsMap: s.data != nil, DataType: nftables.MustConcatSetType(s.data...),
		Interval: s.interval, Counter: s.counter, Size: s.size,
		Dynamic: s.dynamic, HasTimeout: s.timeout > 0, Timeout: s.timeout,
	}
}
