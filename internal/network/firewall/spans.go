package firewall

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// span are values from one to another, or all others, and what a map has for
// them.
type span struct {
	from, to []byte
	not      bool
	value    []byte
}

// compared are the values for which a comparison holds.
func compared(e *expr.Cmp) []span {
	s := span{from: make([]byte, len(e.Data)), to: bytes.Repeat([]byte{0xff}, len(e.Data))}
	switch e.Op {
	case expr.CmpOpEq, expr.CmpOpNeq:
		s.from, s.to, s.not = e.Data, e.Data, e.Op == expr.CmpOpNeq
	case expr.CmpOpGte:
		s.from = e.Data
	case expr.CmpOpGt:
		s.from = next(e.Data, 1)
	case expr.CmpOpLte:
		s.to = e.Data
	case expr.CmpOpLt:
		s.to = next(e.Data, -1)
	}
	return []span{s}
}

// next is the number after b, or before it.
func next(b []byte, by int8) []byte {
	out := bytes.Clone(b)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] += byte(by)
		if by > 0 && out[i] != 0 || by < 0 && out[i] != 0xff {
			break
		}
	}
	return out
}

// spans are what is in a set. Its intervals are elements where they begin, and
// others behind their ends, but for those up to the highest value; or each is one
// element that has both.
func spans(elements []nftables.SetElement) []span {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		return cmp.Or(bytes.Compare(a.Key, b.Key), end(b)-end(a))
	})
	intervals := slices.ContainsFunc(elements, func(e nftables.SetElement) bool { return e.IntervalEnd })
	var out []span
	for i, e := range elements {
		if e.IntervalEnd {
			continue
		}
		s := span{from: e.Key, to: e.Key, value: e.Val}
		switch {
		case e.KeyEnd != nil:
			s.to = e.KeyEnd
		case intervals && i+1 == len(elements):
			s.to = bytes.Repeat([]byte{0xff}, len(e.Key))
		case intervals:
			s.to = next(elements[i+1].Key, -1)
		}
		out = append(out, s)
	}
	return out
}

func end(e nftables.SetElement) int {
	if e.IntervalEnd {
		return 1
	}
	return 0
}

// chainOf is the chain of a verdict as a map has it; "" if that leads to none.
func chainOf(verdict []byte) string {
	d, err := netlink.NewAttributeDecoder(verdict)
	for err == nil && d.Next() {
		if d.Type() == unix.NFTA_VERDICT_CHAIN {
			return d.String()
		}
	}
	return ""
}
