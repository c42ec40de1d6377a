package dns

import (
	"bytes"
	"encoding/binary"

	"github.com/miekg/dns"
)

// optRecord has the size of an EDNS record without options.
type optRecord [11]byte

// answer writes the answer to q that v knows into out, and gives its
// length: where it does not fit, the advice to ask by TCP. It is not ok where v knows nothing of the
// name: then others have to be asked.
func (v *View) answer(q *query, out []byte) (n int, ok bool) {
	if q.class != dns.ClassINET {
		return refuse(q, dns.RcodeRefused, out), true
	}
	switch q.qtype {
	case dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB:
		return refuse(q, dns.RcodeRefused, out), true // much for little, which nobody needs
	}
	e := v.names[string(q.lower())]
	zone, rcode := v.authority(q.lower())
	switch {
	case e == nil && zone < 0:
		return 0, false
	case e == nil:
		return v.deny(q, max(zone, 0), rcode, out), true
	}
	packed := e.answer(q.qtype)
	if packed == nil {
		return v.deny(q, max(zone, 0), dns.RcodeSuccess, out), true
	}
	setHeader(q, out, bitAA, dns.RcodeSuccess)
	if len(packed)+len(optRecord{}) > len(out) {
		return truncate(q, out), true
	}
	copy(out[4:], packed[4:])
	copy(out[headerLen:], q.question())
	n = len(packed)
	return finish(q, out, n), true
}

// authority is where in the name its zone begins of which this server is the
// authority, or -1: the name lies in Domain, or is the reverse of addresses of
// the networks. With it comes the code for a name that no host has.
func (v *View) authority(name []byte) (zone, rcode int) {
	if off := len(name) - len(v.domain); bytes.HasSuffix(name, []byte(v.domain)) && onLabel(name, off) {
		return off, dns.RcodeNameError
	}
	part, ok := reversed(name)
	if !ok {
		return -1, 0
	}
	for _, network := range v.networks {
		if part.Bits() < zoneBits(network) || !network.Contains(part.Addr()) {
			continue
		}
		if !part.IsSingleIP() {
			rcode = dns.RcodeSuccess // there are names below it
		} else {
			rcode = dns.RcodeNameError
		}
		return zoneOf(name, part, network), rcode
	}
	return -1, 0
}

// onLabel reports whether a label begins at off.
func onLabel(name []byte, off int) bool {
	i := 0
	for i < off {
		i += 1 + int(name[i])
	}
	return i == off
}

// deny answers that there is nothing, by the word of the authority of the zone
// that begins at this place of the name. What there is of the zone itself is
// said as an answer.
func (v *View) deny(q *query, zone, rcode int, out []byte) int {
	n := refuse(q, rcode, out)
	if q.edns {
		n -= len(optRecord{})
	}
	binary.BigEndian.PutUint16(out[n:], 0xc000|uint16(headerLen+zone)) // a pointer to the zone's name
	n += 2 + copy(out[n+2:], v.soa)
	section := out[8:]
	if zone == 0 && q.qtype == dns.TypeSOA {
		section = out[6:]
	}
	out[2] |= bitAA
	binary.BigEndian.PutUint16(section, 1)
	binary.BigEndian.PutUint16(out[10:], 0)
	return finish(q, out, n)
}

// refuse answers with a code alone.
func refuse(q *query, rcode int, out []byte) int {
	clear(out[:headerLen])
	n := headerLen
	if q.name != nil {
		n += copy(out[n:], q.question())
		binary.BigEndian.PutUint16(out[4:], 1)
	}
	setHeader(q, out, 0, rcode)
	return finish(q, out, n)
}

// setHeader sets the identification and the flags of an answer to q.
func setHeader(q *query, out []byte, flags byte, rcode int) {
	copy(out, q.msg[:2])
	out[2] = bitQR | flags | q.msg[2]&(0xf<<3|bitRD)
	out[3] = bitRA | q.msg[3]&bitCD | byte(rcode&0xf)
}

// finish adds EDNS where q has it.
func finish(q *query, out []byte, n int) int {
	if !q.edns {
		return n
	}
	opt := out[n : n+len(optRecord{})]
	clear(opt)
	binary.BigEndian.PutUint16(opt[1:], dns.TypeOPT)
	binary.BigEndian.PutUint16(opt[3:], ownUDP)
	if q.do {
		opt[7] = 1 << 7
	}
	binary.BigEndian.PutUint16(out[10:], 1)
	return n + len(opt)
}

// badVersion answers a query of an EDNS that is not known here.
func badVersion(q *query, out []byte) int {
	n := refuse(q, dns.RcodeSuccess, out)
	out[n-6] = dns.RcodeBadVers >> 4
	return n
}

// cut makes an answer of n bytes fit what the client takes by UDP.
func cut(q *query, out []byte, n int) int {
	if n <= q.size {
		return n
	}
	return truncate(q, out)
}

// truncate replaces an answer, of which there is the header, by the advice to
// ask by TCP.
func truncate(q *query, out []byte) int {
	flags, codes := out[2], out[3]
	n := refuse(q, int(codes&0xf), out)
	out[2], out[3] = flags|bitTC, codes
	return n
}
