package firewall

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// leading goes through the chains of a table that translates addresses, as
// packets to the host do, and collects what ports are led elsewhere.
type leading struct {
	walk
	seen map[visit]bool
	out  []Published
}

// visit is that packets of some kind come to a chain.
type visit struct {
	chain string
	what  Published
}

// anything are packets of which nothing is known yet.
func anything() Published { return Published{Last: math.MaxUint16} }

// through goes through a chain. Conditions that have nothing to do with ports are
// taken for true.
func (l *leading) through(chain string, what Published) {
	if l.seen[visit{chain, what}] {
		return
	}
	l.seen[visit{chain, what}] = true
	rules, err := l.of(chain)
	if err != nil {
		return // the library cannot read it
	}
	by := publisher(chain, fmt.Sprintf("nftables %s %s %s", familyName(l.table.Family), l.table.Name, chain))
	for _, r := range rules {
		l.rule(r.Exprs, what, by)
	}
}

// rule goes through one rule, whose owner is by.
func (l *leading) rule(rule []expr.Any, what Published, by string) {
	var loaded registers
	cases := []Published{what}
	for _, e := range rule {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log, *expr.Limit:
		case *expr.Meta:
			loaded.load(e.Register, map[expr.MetaKey]part{expr.MetaKeyL4PROTO: {"protocol", 1}}[e.Key])
		case *expr.Payload:
			loaded.load(e.DestRegister, part{loadedBy(e), int(e.Len)})
		case *expr.Cmp:
			cases = narrowed(cases, loaded.at(e.Register), compared(e))
		case *expr.Range:
			cases = narrowed(cases, loaded.at(e.Register), []span{{from: e.FromData, to: e.ToData, not: e.Op == expr.CmpOpNeq}})
		case *expr.Match:
			cases = matched(cases, e)
		case *expr.Lookup:
			cases = l.lookedUp(cases, loaded.at(e.SourceRegister), e)
			loaded.load(e.DestRegister, part{})
		case *expr.NAT:
			l.lead(cases, by, e.Type == expr.NATTypeDestNAT)
		case *expr.Redir:
			l.lead(cases, by, true)
		case *expr.Target:
			l.lead(cases, by, e.Name == "DNAT" || e.Name == "REDIRECT")
		case *expr.Verdict:
			l.jump(cases, e.Chain)
		default: // it may load something else
			loaded = registers{}
		}
	}
}

// lead notes what is led elsewhere, where it is known by its ports.
func (l *leading) lead(cases []Published, by string, leads bool) {
	for _, p := range cases {
		if p.By = by; leads && p.Protocol != "" && (p.First > 0 || p.Last < math.MaxUint16) {
			l.out = append(l.out, p)
		}
	}
}

// jump goes on in another chain, if there is one.
func (l *leading) jump(cases []Published, chain string) {
	for _, p := range cases {
		if chain != "" {
			l.through(chain, p)
		}
	}
}

// lookedUp are the packets that a set or map has. Those of a map of verdicts go
// to other chains, and none goes on.
func (l *leading) lookedUp(cases []Published, parts []part, e *expr.Lookup) []Published {
	verdicts := e.IsDestRegSet && e.DestRegister == unix.NFT_REG_VERDICT
	if !names(parts) && !verdicts {
		return cases
	}
	elements, err := inSet(l.conn, l.table, e.SetName)
	if err != nil {
		return nil // the library cannot read it
	}
	var out []Published
	for _, s := range spans(elements) {
		s.not = e.Invert
		some := narrowed(cases, parts, []span{s})
		if verdicts {
			l.jump(some, chainOf(s.value))
			continue
		}
		out = append(out, some...)
	}
	return unique(out)
}

// part is what a register has been loaded with: "protocol", "port" or "address",
// of so many bytes, or nothing that matters.
type part struct {
	what  string
	bytes int
}

// registers are those of a rule, in words of four bytes.
type registers [16]part

// word is where a register begins, of which some are called by four words.
func word(register uint32) int {
	if register >= unix.NFT_REG32_00 {
		return int(register - unix.NFT_REG32_00)
	}
	return int(register-unix.NFT_REG_1) * 4
}

func (r *registers) load(register uint32, p part) {
	if i := word(register); i >= 0 && i < len(r) {
		clear(r[i:min(len(r), i+max(1, (p.bytes+3)/4))])
		r[i] = p
	}
}

// at is what is loaded from a register on.
func (r *registers) at(register uint32) []part {
	if i := word(register); i >= 0 && i < len(r) {
		return r[i:]
	}
	return nil
}

// names reports whether there is something in parts that matters.
func names(parts []part) bool {
	for _, p := range parts {
		if p.what != "" {
			return true
		}
	}
	return false
}

// loadedBy says what of a packet an expression loads; "" if it does not matter.
func loadedBy(e *expr.Payload) string {
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2:
		return "port"
	case e.Base != expr.PayloadBaseNetworkHeader:
		return ""
	case e.Offset == 9 && e.Len == 1, e.Offset == 6 && e.Len == 1:
		return "protocol"
	case e.Offset == 16 && e.Len == 4, e.Offset == 24 && e.Len == 16:
		return "address"
	}
	return ""
}

// matched are the packets that a match of iptables lets through.
func matched(cases []Published, e *expr.Match) []Published {
	ports := func(protocol byte, ports [2]uint16, not bool) []Published {
		s := span{from: port(ports[0]), to: port(ports[1]), not: not}
		cases = narrowed(cases, []part{{"protocol", 1}}, []span{{from: []byte{protocol}, to: []byte{protocol}}})
		return narrowed(cases, []part{{"port", 2}}, []span{s})
	}
	switch i := e.Info.(type) {
	case *xt.Tcp:
		return ports(unix.IPPROTO_TCP, i.DstPorts, i.InvFlags&xt.TcpInvDestPorts != 0)
	case *xt.Udp:
		return ports(unix.IPPROTO_UDP, i.DstPorts, i.InvFlags&xt.UdpInvDestPorts != 0)
	}
	return cases
}

// narrowed are those packets whose parts are in one of the spans.
func narrowed(cases []Published, parts []part, spans []span) []Published {
	if !names(parts) {
		return cases
	}
	var out []Published
	for _, p := range cases {
		for _, s := range spans {
			if n, ok := p.in(parts, s); ok {
				out = append(out, n)
			}
		}
	}
	return out
}

// in is what of p is in a span. What is not in one has no ports by name.
func (p Published) in(parts []part, s span) (Published, bool) {
	for i, part := range parts {
		begin, end := i*4, i*4+part.bytes
		if part.what == "" || end > len(s.from) || end > len(s.to) {
			continue
		}
		if s.not {
			return p, part.what == "address"
		}
		var ok bool
		if p, ok = p.with(part.what, s.from[begin:end], s.to[begin:end]); !ok {
			return p, false
		}
	}
	return p, true
}

// with is what of p has values between two.
func (p Published) with(what string, from, to []byte) (_ Published, ok bool) {
	switch what {
	case "port":
		p.First, p.Last = max(p.First, binary.BigEndian.Uint16(from)), min(p.Last, binary.BigEndian.Uint16(to))
		return p, p.First <= p.Last
	case "protocol":
		name := map[byte]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp"}[from[0]]
		ok, p.Protocol = name != "" && (p.Protocol == "" || p.Protocol == name), name
		return p, ok
	}
	a, _ := netip.AddrFromSlice(from)
	if !bytes.Equal(from, to) || p.Address == a { // of more than one, all are taken
		return p, true
	}
	ok, p.Address = !p.Address.IsValid(), a
	return p, ok
}
