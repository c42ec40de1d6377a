package network

import (
	"net"
	"net/netip"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/link"
)

// Lease is what one container has of the network while it runs: all that
// Attach makes, and all that Detach has to take down. It lies in the file
// Paths.Lease from before the first of it is made until after the last of it
// is gone.
type Lease struct {
	Name    container.Name `json:"name"`
	Machine string         `json:"machine"` // as systemd-nspawn knows it
	Links   []Link         `json:"links"`
	Ports   []Port         `json:"ports,omitempty"`
	// Aliases are further names under which others find it.
	Aliases []string `json:"aliases,omitempty"`
	// AllowHost are the ports of the host that the guest may use besides DNS.
	AllowHost []container.HostPort `json:"allowHost,omitempty"`
	// Ingress are the names for which the host answers HTTP for the guest.
	Ingress []container.Ingress `json:"ingress,omitempty"`
	// Attached is set when everything is in place.
	Attached bool `json:"attached,omitempty"`
}

// Kind is how a link reaches the guest.
type Kind string

// The kinds of links.
const (
	Bridged Kind = "bridge"  // a veth whose host side is a port of Bridge
	Point   Kind = "point"   // a veth between host and guest alone
	Macvlan Kind = "macvlan" // a macvlan on the host's interface Host
	Moved   Kind = "moved"   // the host's interface Host itself
)

// Link is one interface of a guest.
type Link struct {
	Kind Kind `json:"kind"`
	// Host is the name on the host: of the veth's host side, of the interface
	// below a macvlan, or of the interface that is moved.
	Host string `json:"host"`
	// FullName is an alternative name of the host side, where Host is shortened.
	FullName string `json:"fullName,omitempty"`
	Guest    string `json:"guest"`             // the interface's name in the guest, such as eth0
	MAC      MAC    `json:"mac,omitempty"`     // in the guest; empty: what the kernel gives
	Bridge   string `json:"bridge,omitempty"`  // the host's bridge
	Network  string `json:"network,omitempty"` // the network of berth that Bridge belongs to, if it does
	// Addresses are the guest's, with the prefix lengths of what is on the link.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	// HostAddresses are those that the host has on a link of its own (Point).
	HostAddresses []netip.Prefix `json:"hostAddresses,omitempty"`
	// Gateways are the guest's default routes, at most one a family. They are on
	// the link, whatever the prefixes say.
	Gateways []netip.Addr `json:"gateways,omitempty"`
	// Returns are the host's addresses on links without a default route, at most
	// one a family: what the guest sends from its addresses there goes by them,
	// answers above all.
	Returns []netip.Addr `json:"returns,omitempty"`
	// Around is what is on the guest's other links, where this one has a default
	// route: from its addresses the guest answers who is there by Gateways too.
	Around []netip.Prefix `json:"around,omitempty"`
	// Table is the guest's table of routes for Returns and Around.
	Table int `json:"table,omitempty"`
	// Resolvers are where the guest asks for names.
	Resolvers []netip.Addr `json:"resolvers,omitempty"`
	// DHCP is set where the network gives addresses itself and none is fixed.
	DHCP bool `json:"dhcp,omitempty"`
	// Was is what a moved interface was on the host, to be given back.
	Was *link.State `json:"was,omitempty"`
}

// MAC is a hardware address, as text in JSON.
type MAC string

// Hardware gives the six bytes of m, or nil where it is empty.
func (m MAC) Hardware() net.HardwareAddr {
	h, err := net.ParseMAC(string(m))
	if err != nil {
		return nil
	}
	return h
}

// Port is one port of the host, or a range, that the guest answers.
type Port struct {
	Protocol string `json:"protocol"` // tcp or udp
	// First to Last are the host's ports, which To and those that follow answer.
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
	To    uint16 `json:"to"`
	// Listen is the host's address; the zero Addr is all of both families.
	Listen netip.Addr `json:"listen,omitzero"`
	// Guest are the guest's addresses that answer, at most one a family.
	Guest []netip.Addr `json:"guest"`
}

// Network is a bridge of berth's own with what belongs to it. It is chosen
// once, and kept in the file Paths.Network.
type Network struct {
	Name     string          `json:"name"`
	Owner    container.Owner `json:"owner,omitempty"` // who declared it; empty: made on demand
	Bridge   string          `json:"bridge"`
	Subnet   netip.Prefix    `json:"subnet,omitzero"`  // IPv4; the first address is the host's
	Subnet6  netip.Prefix    `json:"subnet6,omitzero"` // IPv6, likewise
	NAT      bool            `json:"nat"`
	Isolated bool            `json:"isolated"`
	DHCP     bool            `json:"dhcp"`
}

// Gateways are the host's addresses on the network, with their prefixes.
func (n Network) Gateways() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{n.Subnet, n.Subnet6} {
		if p.IsValid() {
			out = append(out, netip.PrefixFrom(p.Masked().Addr().Next(), p.Bits()))
		}
	}
	return out
}
