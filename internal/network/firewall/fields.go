package firewall

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// match are conditions and what follows where they hold. A rule is matches in
// a row.
type match = []expr.Any

// register is the first of four bytes, from which on rules load.
const register = unix.NFT_REG32_00

// field is something of a packet, of so many bytes, that rules look at.
type field struct {
	bytes uint32
	load  func(register uint32) expr.Any
}

func meta(key expr.MetaKey, bytes uint32) field {
	return field{bytes, func(r uint32) expr.Any { return &expr.Meta{Key: key, Register: r} }}
}

func payload(base expr.PayloadBase, offset, bytes uint32) field {
	return field{bytes, func(r uint32) expr.Any {
		return &expr.Payload{DestRegister: r, Base: base, Offset: offset, Len: bytes}
	}}
}

// tracked is what is known of a packet's connection. Directions are 0 for how
// it was opened and 1 for answers.
func tracked(key expr.CtKey, direction, bytes uint32) field {
	return field{bytes, func(r uint32) expr.Any { return &expr.Ct{Key: key, Direction: direction, Register: r} }}
}

func in() field        { return meta(expr.MetaKeyIIFNAME, unix.IFNAMSIZ) }
func out() field       { return meta(expr.MetaKeyOIFNAME, unix.IFNAMSIZ) }
func ipFamily() field  { return meta(expr.MetaKeyNFPROTO, 1) }
func protocol() field  { return meta(expr.MetaKeyL4PROTO, 1) }
func etherType() field { return meta(expr.MetaKeyPROTOCOL, 2) }

func link(offset, bytes uint32) field {
	return payload(expr.PayloadBaseLLHeader, offset, bytes)
}

func network(offset, bytes uint32) field {
	return payload(expr.PayloadBaseNetworkHeader, offset, bytes)
}

func transport(offset, bytes uint32) field {
	return payload(expr.PayloadBaseTransportHeader, offset, bytes)
}

func macSource() field { return link(6, 6) }
func macTarget() field { return link(0, 6) }
func source4() field   { return network(12, 4) }
func target4() field   { return network(16, 4) }
func source6() field   { return network(8, 16) }
func target6() field   { return network(24, 16) }
func fromPort() field  { return transport(0, 2) }
func toPort() field    { return transport(2, 2) }
func icmp() field      { return transport(0, 1) } // its type, of both families
func solicited() field { return transport(8, 16) }

// nowhere is an address of zeros in the place of a field.
func nowhere(bytes uint32) field {
	return field{bytes, func(r uint32) expr.Any { return &expr.Immediate{Register: r, Data: make([]byte, bytes)} }}
}

// load puts fields one after the other into registers, as keys of sets have
// them, and gives the register after them.
func load(fields []field) match {
	var m match
	r := uint32(register)
	for _, f := range fields {
		m = append(m, f.load(r))
		r += (f.bytes + 3) / 4
	}
	return m
}

// of holds where the fields are in a set.
func of(set string, fields ...field) match {
	return append(load(fields), &expr.Lookup{SourceRegister: register, SetName: set})
}

// notOf holds where the fields are not in a set.
func notOf(set string, fields ...field) match {
	return append(load(fields), &expr.Lookup{SourceRegister: register, SetName: set, Invert: true})
}

// known holds where a map has the fields.
func known(portMap string, fields ...field) match {
	return append(load(fields), &expr.Lookup{SourceRegister: register, DestRegister: register, IsDestRegSet: true, SetName: portMap})
}

func is(f field, value ...byte) match {
	return match{f.load(register), &expr.Cmp{Register: register, Data: value}}
}

func not(f field, value ...byte) match {
	return match{f.load(register), &expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: value}}
}

// begins holds where the first bits bits of f are those of value, whose end
// of zeros may be left out.
func begins(f field, bits int, value ...byte) match {
	value = append(value, make([]byte, int(f.bytes)-len(value))...)
	mask := make([]byte, len(value))
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	n := uint32(len(value))
	return match{f.load(register),
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: n, Mask: mask, Xor: make([]byte, n)},
		&expr.Cmp{Register: register, Data: value}}
}

// has holds where f, a number in the machine's order, has one of bits.
func has(f field, bits uint32) match {
	return match{f.load(register),
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: native32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)}}
}

func is4() match { return is(ipFamily(), unix.NFPROTO_IPV4) }
func is6() match { return is(ipFamily(), unix.NFPROTO_IPV6) }
func tcp() match { return is(protocol(), unix.IPPROTO_TCP) }
func udp() match { return is(protocol(), unix.IPPROTO_UDP) }

func icmp6(kind byte) match {
	return and(is(protocol(), unix.IPPROTO_ICMPV6), is(icmp(), kind))
}

// The bit of a connection whose target was translated; IPS_DST_NAT in
// nf_conntrack_common.h.
const translatedBit = 1 << 5

func translated() match { return has(tracked(expr.CtKeySTATUS, 0, 4), translatedBit) }

func answers() match {
	return has(tracked(expr.CtKeySTATE, 0, 4), expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

func invalid() match {
	return has(tracked(expr.CtKeySTATE, 0, 4), expr.CtStateBitINVALID)
}

// toHost holds where the target is an address of the host's own.
func toHost() match {
	return match{&expr.Fib{Register: register, ResultADDRTYPE: true, FlagDADDR: true},
		&expr.Cmp{Register: register, Data: native32(unix.RTN_LOCAL)}}
}

// toOne holds where the target is neither the host's nor that of many.
func toOne() match {
	return match{&expr.Fib{Register: register, ResultADDRTYPE: true, FlagDADDR: true},
		&expr.Cmp{Register: register, Data: native32(unix.RTN_UNICAST)}}
}

func accept() match { return match{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() match   { return match{&expr.Verdict{Kind: expr.VerdictDrop}} }
func leave() match  { return match{&expr.Verdict{Kind: expr.VerdictReturn}} }

func jump(chain string) match {
	return match{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

func proceed(chain string) match {
	return match{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

func masquerade() match { return match{&expr.Masq{}} }

// translate gives a packet the target that a map has for its fields.
func translate(family byte, bytes uint32, portMap string, fields ...field) match {
	return append(known(portMap, fields...),
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(family), RegAddrMin: register, RegProtoMin: register + bytes/4})
}

func loopback6() []byte { return append(make([]byte, 15), 1) }

func native32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func port(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func and(matches ...match) match {
	var out match
	for _, m := range matches {
		out = append(out, m...)
	}
	return out
}
