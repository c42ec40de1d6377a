package dns

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// The ends of the names of addresses, in the form of messages.
const (
	reverse4 = "\x07in-addr\x04arpa\x00"
	reverse6 = "\x03ip6\x04arpa\x00"
)

// reversed is the address whose name this is, in small letters, or the
// addresses whose names end with it; see RFC 1035, 3.5, and RFC 3596.
func reversed(name []byte) (netip.Prefix, bool) {
	if rest, ok := bytes.CutSuffix(name, []byte(reverse4)); ok {
		return reversed4(rest)
	}
	if rest, ok := bytes.CutSuffix(name, []byte(reverse6)); ok {
		return reversed6(rest)
	}
	return netip.Prefix{}, false
}

// reversed4 reads up to four labels, of which the last is the address' first
// byte.
func reversed4(labels []byte) (netip.Prefix, bool) {
	var reverse, a [4]byte
	count := 0
	for ; len(labels) > 0; count++ {
		n := int(labels[0])
		if count == 4 || n < 1 || n > 3 || len(labels) < 1+n {
			return netip.Prefix{}, false
		}
		value := 0
		for _, d := range labels[1 : 1+n] {
			if d < '0' || d > '9' {
				return netip.Prefix{}, false
			}
			value = value*10 + int(d-'0')
		}
		if value > 255 || n > 1 && labels[1] == '0' {
			return netip.Prefix{}, false
		}
		reverse[count] = byte(value)
		labels = labels[1+n:]
	}
	for i := range count {
		a[i] = reverse[count-1-i]
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), 8*count), true
}

// reversed6 reads up to 32 labels of one digit, of which the last is the
// address' first.
func reversed6(labels []byte) (netip.Prefix, bool) {
	var a [16]byte
	count := len(labels) / 2
	if len(labels)%2 != 0 || count > 32 {
		return netip.Prefix{}, false
	}
	for i := range count {
		at := count - 1 - i
		digit := bytes.IndexByte([]byte("0123456789abcdef"), labels[2*at+1])
		if labels[2*at] != 1 || digit < 0 {
			return netip.Prefix{}, false
		}
		a[i/2] |= byte(digit) << (4 * (1 - i%2))
	}
	return netip.PrefixFrom(netip.AddrFrom16(a), 4*count), true
}

// zoneBits is how long the prefix of the zone is in which a network's addresses
// lie: zones begin at whole bytes in IPv4, at half ones in IPv6.
func zoneBits(network netip.Prefix) int {
	step := labelBits(network.Addr())
	return (network.Bits() + step - 1) / step * step
}

// labelBits is what one label says of an address.
func labelBits(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 4
}

// zoneOf is where the zone of a network begins in the name of one of its
// addresses, or of several.
func zoneOf(name []byte, part, network netip.Prefix) int {
	off := 0
	for range (part.Bits() - zoneBits(network)) / labelBits(network.Addr()) {
		off += 1 + int(name[off])
	}
	return off
}

// ReverseZone is the name of the zone in which a network's addresses lie, without
// a dot at its end.
func ReverseZone(network netip.Prefix) string {
	full, err := dns.ReverseAddr(network.Masked().Addr().String())
	if err != nil {
		return ""
	}
	off := 0
	for range (network.Addr().BitLen() - zoneBits(network)) / labelBits(network.Addr()) {
		off, _ = dns.NextLabel(full, off)
	}
	return strings.TrimSuffix(full[off:], ".")
}
