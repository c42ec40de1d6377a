package dns

import (
	"encoding/binary"
	"time"

	"github.com/miekg/dns"
)

// record is where one resource record lies in a message.
type record struct {
	nameLen int // in the message, where it may be a pointer
	rtype   uint16
	class   uint16
	ttl     uint32
	ttlAt   int
	data    int
	dataLen int
}

// readRecord reads the record at off, and gives where the next one begins, or
// -1.
func readRecord(msg []byte, off int) (record, int) {
	end := skipName(msg, off)
	if end < 0 || end+10 > len(msg) {
		return record{}, -1
	}
	r := record{
		nameLen: end - off,
		rtype:   binary.BigEndian.Uint16(msg[end:]),
		class:   binary.BigEndian.Uint16(msg[end+2:]),
		ttl:     binary.BigEndian.Uint32(msg[end+4:]),
		ttlAt:   end + 4,
		dataLen: int(binary.BigEndian.Uint16(msg[end+8:])),
		data:    end + 10,
	}
	if next := r.data + r.dataLen; next <= len(msg) {
		return r, next
	}
	return record{}, -1
}

// skipName gives where the name at off ends in the message, or -1. A pointer
// ends it, and is not followed.
func skipName(msg []byte, off int) int {
	for off < len(msg) {
		switch n := int(msg[off]); {
		case n == 0:
			return off + 1
		case n >= 0xc0:
			if off+2 > len(msg) {
				return -1
			}
			return off + 2
		case n > 63:
			return -1
		default:
			off += 1 + n
		}
	}
	return -1
}

// answered says of a message what decides how long it may be kept.
type answered struct {
	ttlAt []int // where the times to live are, from the beginning of the message
	life  time.Duration
}

// maxLife bounds how long an answer is kept, whatever it says.
const maxLife = time.Hour

// survey reads an answer. It may be kept for its shortest time to live; one
// that says that there is nothing for as long as RFC 2308 says. It is not ok
// where it is no whole message, or may not be kept at all.
func survey(msg []byte) (a answered, ok bool) {
	if len(msg) < headerLen || msg[2]&bitTC != 0 {
		return a, false
	}
	rcode := int(msg[3] & 0xf)
	questions, answers, authorities, extra := counts(msg)
	if rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError || questions != 1 {
		return a, false
	}
	off := skipName(msg, headerLen) + 4
	if off < headerLen+5 || off > len(msg) {
		return a, false
	}
	life, positive := int64(maxLife/time.Second), answers > 0 && rcode == dns.RcodeSuccess
	denied := false // that there is nothing is said by the zone itself
	for i := range answers + authorities + extra {
		r, next := readRecord(msg, off)
		if next < 0 {
			return a, false
		}
		off = next
		if r.rtype == dns.TypeOPT {
			continue
		}
		a.ttlAt = append(a.ttlAt, r.ttlAt)
		life = min(life, int64(r.ttl&0x7fffffff))
		if r.rtype == dns.TypeSOA && i >= answers && i < answers+authorities && r.dataLen >= 22 {
			denied = true
			if !positive {
				life = min(life, int64(binary.BigEndian.Uint32(msg[next-4:])))
			}
		}
	}
	a.life = time.Duration(life) * time.Second
	return a, a.life > 0 && (positive || denied)
}

// age takes the seconds that have passed off the times to live of msg.
func age(msg []byte, ttlAt []int, passed uint32) {
	for _, at := range ttlAt {
		ttl := binary.BigEndian.Uint32(msg[at:])
		binary.BigEndian.PutUint32(msg[at:], ttl-min(ttl, passed))
	}
}

// answers reports whether msg is an answer to the question of q with this
// identification.
func answers(msg []byte, id uint16, q *query) bool {
	if len(msg) < headerLen+len(q.name)+4 || binary.BigEndian.Uint16(msg) != id || msg[2]&bitQR == 0 {
		return false
	}
	if questions, _, _, _ := counts(msg); questions != 1 {
		return false
	}
	return string(msg[headerLen:headerLen+len(q.name)+4]) == string(q.question())
}
