package container

import (
	"fmt"
	"net/netip"
)

// NetworkSpec is what a declaration wants of a network of berth's own: a
// bridge with what belongs to it.
type NetworkSpec struct {
	Subnet   Subnet `json:"subnet,omitzero"`  // IPv4
	Subnet6  Subnet `json:"subnet6,omitzero"` // IPv6
	Isolated bool   `json:"isolated"`         // no other network of berth is reached from it, nor reaches it
	NAT      bool   `json:"nat"`              // what leaves it has the host's address
	DHCP     bool   `json:"dhcp"`             // guests may ask for their addresses too
}

// DefaultNetworkSpec is a NetworkSpec in which every key has its default.
func DefaultNetworkSpec() NetworkSpec { return NetworkSpec{NAT: true} }

// DefaultNetwork is the name of the network that guests with privateNetwork
// are on if nothing else is said. NoNetwork is no network's name: it stands
// for a loopback interface alone.
const (
	DefaultNetwork = "default"
	NoNetwork      = "none"
)

// ParseNetwork returns s if it can be the name of a network: it has the form
// of a container's name.
func ParseNetwork(s string) (string, error) {
	if _, err := ParseName(s); err != nil {
		return "", fmt.Errorf("%q cannot be a network's name: allowed are letters, digits, %q and %q, with a letter or a digit at both ends", s, '-', '_')
	}
	return s, nil
}

// Subnet is the addresses of a network in one family. The zero Subnet is for
// berth to choose.
type Subnet struct {
	None   bool         // there are none
	Prefix netip.Prefix // or these
}

// String is empty for the zero Subnet.
func (s Subnet) String() string {
	switch {
	case s.None:
		return "none"
	case s.Prefix.IsValid():
		return s.Prefix.String()
	}
	return ""
}

// MarshalText gives String.
func (s Subnet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes, of either family.
func (s *Subnet) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = Subnet{}
		return nil
	}
	p, err := netip.ParsePrefix(string(b))
	if err != nil {
		p, err = netip.Prefix{}, nil
	}
	next, err := ParseSubnet(string(b), p.Addr().Is6())
	if err == nil {
		*s = next
	}
	return err
}

// The least and the most addresses that a network may have, as prefix lengths.
// The longest leave room for the host and a guest.
const (
	shortest4, longest4 = 8, 30
	shortest6, longest6 = 16, 126
)

// ParseSubnet reads none or a prefix, of IPv6 with v6.
func ParseSubnet(s string, v6 bool) (Subnet, error) {
	if s == "none" {
		return Subnet{None: true}, nil
	}
	example, low, high := "10.20.0.0/24", shortest4, longest4
	if v6 {
		example, low, high = "fd00:20::/64", shortest6, longest6
	}
	p, err := netip.ParsePrefix(s)
	a := p.Addr()
	switch {
	case err != nil || a.Is6() != v6 || a.Is4In6():
		return Subnet{}, fmt.Errorf("%q is neither a subnet such as %s nor none", s, example)
	case p != p.Masked():
		return Subnet{}, fmt.Errorf("%q is an address in a subnet: write %q for the subnet", s, p.Masked())
	case p.Bits() < low || p.Bits() > high:
		return Subnet{}, fmt.Errorf("%q has a prefix length of %d, outside %d to %d", s, p.Bits(), low, high)
	case a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified():
		return Subnet{}, fmt.Errorf("%q is kept for other uses: guests cannot have addresses in it", s)
	}
	return Subnet{Prefix: p}, nil
}
