package firewall

import (
	"net"
	"net/netip"
)

// Rules are networks and guests: all that there are, or those that change.
type Rules struct {
	Networks []Network
	Guests   []Guest
}

// Network is a bridge of berth's own.
type Network struct {
	Bridge   string
	Gateways []netip.Addr // the host's addresses there, which answer DNS
	NAT      bool         // guests appear with the host's address outside, and are reached through ports only
	Isolated bool         // other networks of berth neither reach it nor are reached
	DHCP     bool         // the host answers DHCP
}

// Guest is one container.
type Guest struct {
	Links []Link
	Ports []Port
	// Host are the ports of the host that it may use besides DNS.
	Host []HostPort
}

// Link is a veth of a guest.
type Link struct {
	Host   string // the interface on the host
	Bridge string // of which Host is a port; empty: host and guest alone are on the link
	// Foreign is set where Bridge is not berth's: then only what berth
	// configured is protected there.
	Foreign   bool
	Isolated  bool             // the network of Bridge is
	MAC       net.HardwareAddr // in the guest
	Addresses []netip.Prefix   // the guest's, with the length of what is on the link

	// These are for links without bridge; others have them of their Network.
	Gateways []netip.Addr // the host's addresses, which answer DNS
	NAT      bool
}

// Port is a port of the host, or a range, that a guest answers.
type Port struct {
	Protocol    string // tcp or udp
	First, Last uint16
	To          uint16       // what First becomes; the next ones follow
	Listen      netip.Addr   // the host's address; the zero Addr, or unspecified: all
	Guest       []netip.Addr // the guest's addresses, at most one a family
}

// HostPort is a port of the host, or a range.
type HostPort struct {
	Protocol    string // tcp or udp; empty: all ports of both
	First, Last uint16
}
