package firewall

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nlenc"
	"golang.org/x/sys/unix"
)

// Intact reports whether the tables are as they were left: of this version, with
// all their rules, and with what All says in their sets. It may be wrong while
// somebody changes them.
func (t Tables) Intact() (bool, error) {
	all, err := t.All()
	if err != nil {
		return false, err
	}
	wanted, err := all.elements()
	if err != nil {
		return false, err
	}
	conn, err := dial()
	if err != nil {
		return false, err
	}
	defer closing(conn)
	for _, look := range []func() (bool, error){
		func() (bool, error) { return true, t.find(conn) },
		t.ruled,
		func() (bool, error) { return t.filled(conn, wanted) },
	} {
		if ok, err := look(); gone(err) {
			return false, nil
		} else if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// ruled reports whether no chain lacks a rule, as after "nft flush table".
func (t Tables) ruled() (bool, error) {
	for family, chains := range map[nftables.TableFamily][]chain{inet: inetChains(0), bridge: bridgeChains()} {
		have, err := t.countRules(family)
		if err != nil {
			return false, fmt.Errorf("count the rules of nftables: %w", err)
		}
		if slices.ContainsFunc(chains, func(c chain) bool { return have[c.name] < len(c.rules) }) {
			return false, nil
		}
	}
	return true, nil
}

// countRules gives the number of rules in the chains of a table. Not all of what
// is in these rules can be read by package nftables.
func (t Tables) countRules(family nftables.TableFamily) (map[string]int, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	defer func() { go conn.Close() }() // as in closing
	table, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: nlenc.Bytes(t.Instance)}})
	if err != nil {
		return nil, err
	}
	const header = 4 // struct nfgenmsg of linux/netfilter/nfnetlink.h
	rules, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{byte(family), unix.NFNETLINK_V0, 0, 0}, table...),
	})
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, r := range rules {
		if len(r.Data) < header {
			return nil, unix.EBADMSG
		}
		d, err := netlink.NewAttributeDecoder(r.Data[header:])
		if err != nil {
			return nil, err
		}
		for d.Next() {
			if d.Type() == unix.NFTA_RULE_CHAIN {
				out[d.String()]++
			}
		}
		if err := d.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// filled reports whether the sets have these elements and no others.
func (t Tables) filled(conn *nftables.Conn, wanted []element) (bool, error) {
	by := map[place][]element{}
	for _, e := range wanted {
		by[e.place] = append(by[e.place], e)
	}
	for _, s := range sets() {
		if s.dynamic {
			continue
		}
		at := place{s.family, s.name}
		have, err := t.content(conn, at)
		if err != nil || len(difference(have, by[at])) > 0 {
			return false, err
		}
		missing := difference(by[at], have)
		for range doublings {
			if len(missing) == 0 {
				break
			}
			if have, err = t.content(conn, at); err != nil {
				return false, err
			}
			missing = difference(missing, have)
		}
		if len(missing) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// doublings are more than a set goes through while it grows to any size of use.
// Each goes on beside what follows, and makes a reading that is under way when it
// ends miss some elements.
const doublings = 20

// content are the elements of a set, in order.
func (t Tables) content(conn *nftables.Conn, at place) ([]element, error) {
	elements, err := conn.GetSetElements(&nftables.Set{Table: t.table(at.family), Name: at.set})
	if err != nil {
		return nil, fmt.Errorf("read the set %s of nftables: %w", at.set, err)
	}
	var out []element
	for _, e := range elements {
		out = append(out, element{place: at, key: string(e.Key), end: string(e.KeyEnd), value: string(e.Val)})
	}
	slices.SortFunc(out, compare)
	return slices.Compact(out), nil // while a set grows, some are shown twice
}
