package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// Sizes of messages in bytes; see RFC 1035 and RFC 6891.
const (
	headerLen  = 12
	maxNameLen = 255
	minUDP     = 512
	// maxQuery is more than any question needs, and what is sent by UDP at most.
	maxQuery = 4096
	// ownUDP is what this server takes by UDP, and the most that it sends by
	// UDP of its own: no path on a bridge cuts it.
	ownUDP = 1232
	maxTCP = 65535
)

// The bits of a header's second and third byte.
const (
	bitQR = 1 << 7
	bitAA = 1 << 2
	bitTC = 1 << 1
	bitRD = 1 << 0

	bitRA = 1 << 7
	bitAD = 1 << 5
	bitCD = 1 << 4
)

// query is one question as it came. Its slices belong to the message.
type query struct {
	msg    []byte
	name   []byte // in the message, as it was written
	key    [maxNameLen]byte
	keyLen int // of key, which is name in small letters
	qtype  uint16
	class  uint16
	edns   bool
	size   int  // that the client takes by UDP
	do     bool // it wants signatures
	plain  bool // nothing is in it that only this client would ask
}

// lower is the name in small letters, in the form of messages.
func (q *query) lower() []byte { return q.key[:q.keyLen] }

// question is the part of the message that an answer repeats.
func (q *query) question() []byte { return q.msg[headerLen : headerLen+len(q.name)+4] }

// noReply says that a message is answered by nothing: it is none, or an answer
// itself.
const noReply = -1

// parse reads a message into q. It gives dns.RcodeSuccess, the code of an error to
// answer with, or noReply.
func (q *query) parse(msg []byte) int {
	*q = query{msg: msg, size: minUDP, plain: true}
	if len(msg) < headerLen || msg[2]&bitQR != 0 {
		return noReply
	}
	if opcode := msg[2] >> 3 & 0xf; opcode != dns.OpcodeQuery {
		return dns.RcodeNotImplemented
	}
	questions, answers, authorities, extra := counts(msg)
	if questions != 1 || answers != 0 || authorities != 0 {
		return dns.RcodeFormatError
	}
	end := q.readName(msg[headerLen:])
	if end < 0 || len(msg) < headerLen+end+4 {
		return dns.RcodeFormatError
	}
	q.name = msg[headerLen : headerLen+end]
	off := headerLen + end
	q.qtype, q.class = binary.BigEndian.Uint16(msg[off:]), binary.BigEndian.Uint16(msg[off+2:])
	return q.readExtra(off+4, extra)
}

func counts(msg []byte) (questions, answers, authorities, extra int) {
	n := func(off int) int { return int(binary.BigEndian.Uint16(msg[off:])) }
	return n(4), n(6), n(8), n(10)
}

// readName reads the name at the beginning of b, which may not be compressed,
// and gives its length, or -1.
func (q *query) readName(b []byte) int {
	for off := 0; off < len(b) && off < maxNameLen; {
		n := int(b[off])
		if n > 63 || off+1+n > len(b) || off+1+n > maxNameLen {
			return -1
		}
		q.key[off] = b[off]
		if n == 0 {
			q.keyLen = off + 1
			return q.keyLen
		}
		for i := off + 1; i <= off+n; i++ {
			c := b[i]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			q.key[i] = c
		}
		off += 1 + n
	}
	return -1
}

// readExtra reads what comes behind the question: EDNS, and what else there is
// of which only the resolvers of the host know.
func (q *query) readExtra(off, count int) int {
	for range count {
		r, next := readRecord(q.msg, off)
		if next < 0 {
			return dns.RcodeFormatError
		}
		off = next
		if r.rtype != dns.TypeOPT {
			q.plain = false
			continue
		}
		if q.edns || r.nameLen != 1 { // the root's name, and one alone
			return dns.RcodeFormatError
		}
		q.edns, q.do = true, r.ttl&(1<<15) != 0
		q.size = min(max(int(r.class), minUDP), maxQuery)
		q.plain = q.plain && r.dataLen == 0
		if version := r.ttl >> 16 & 0xff; version != 0 {
			return dns.RcodeBadVers
		}
	}
	if off != len(q.msg) {
		q.plain = false
	}
	return dns.RcodeSuccess
}
