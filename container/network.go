package container

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode"
)

// maxInterfaceLen is IFNAMSIZ of the kernel without the terminating zero.
const maxInterfaceLen = 15

// ParseInterface returns s if the kernel takes it as the name of a network
// interface: 1 to 15 bytes, neither "." nor "..", without a slash, a colon or
// white space.
func ParseInterface(s string) (string, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("an interface's name is empty")
	case len(s) > maxInterfaceLen:
		return "", fmt.Errorf("interface name %q has %d bytes, at most %d are allowed", s, len(s), maxInterfaceLen)
	case s == "." || s == "..":
		return "", fmt.Errorf("%q is not the name of an interface", s)
	}
	for _, r := range s {
		if r == '/' || r == ':' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return "", fmt.Errorf("interface name %q has the character %q, which the kernel does not allow", s, r)
		}
	}
	return s, nil
}

// ParseMAC returns s in small letters if it is the hardware address of one
// Ethernet interface, written as six pairs of digits with colons.
func ParseMAC(s string) (string, error) {
	mac, err := net.ParseMAC(s)
	switch {
	case err != nil || len(mac) != 6 || strings.Count(s, ":") != 5:
		return "", fmt.Errorf("%q is not a hardware address such as 02:00:00:12:34:56", s)
	case mac[0]&1 != 0:
		return "", fmt.Errorf("%q is a multicast address: the first pair must be even", s)
	case mac.String() == "00:00:00:00:00:00":
		return "", fmt.Errorf("%q is the address of no interface", s)
	}
	return mac.String(), nil
}

// Family is a version of IP.
type Family int

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String is an address of f for people, with examples.
func (f Family) String() string {
	if f == IPv6 {
		return "an IPv6 address such as fd00::2 or fd00::2/64"
	}
	return "an IPv4 address such as 10.0.0.2 or 10.0.0.2/24"
}

// ParseAddress returns s in its canonical form if it is the address of one
// interface, with or without a prefix length, and of the family f.
func ParseAddress(s string, f Family) (string, error) {
	addr, bits, err := splitPrefix(s)
	switch {
	case err != nil || addr.Is6() != (f == IPv6) || addr.Zone() != "" || addr.Is4In6():
		return "", fmt.Errorf("%q is not %v", s, f)
	case bits == 0:
		return "", fmt.Errorf("%q has a prefix length of 0, which is the whole Internet", s)
	case addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback():
		return "", fmt.Errorf("%q is not the address of a single machine", s)
	case bits >= 0:
		return netip.PrefixFrom(addr, bits).String(), nil
	}
	return addr.String(), nil
}

// splitPrefix gives an address and its prefix length, which is -1 if there is
// none.
func splitPrefix(s string) (netip.Addr, int, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Addr(), p.Bits(), err
	}
	a, err := netip.ParseAddr(s)
	return a, -1, err
}

// ParseListenAddress returns s in its canonical form if it is an IPv4 or IPv6
// address that a port of the host can be bound to.
func ParseListenAddress(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsMulticast() {
		return "", fmt.Errorf("%q is not an address of the host such as 127.0.0.1 or ::1", s)
	}
	if a.Is6() && a.IsLinkLocalUnicast() {
		return "", fmt.Errorf("%q is an address on one link only, from which the kernel leads nothing to guests", s)
	}
	return a.String(), nil
}
