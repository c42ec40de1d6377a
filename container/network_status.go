package container

import "net/netip"

// LinkStatus is one interface of a guest: as it is while the guest runs, and
// otherwise as it would be.
type LinkStatus struct {
	Interface string         `json:"interface"`         // in the guest, such as eth0
	Kind      string         `json:"kind"`              // bridge, point, macvlan or moved
	Network   string         `json:"network,omitempty"` // of berth's
	Bridge    string         `json:"bridge,omitempty"`
	Host      string         `json:"host"` // the interface on the host
	MAC       string         `json:"mac,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Gateways  []netip.Addr   `json:"gateways,omitempty"`
	DHCP      bool           `json:"dhcp,omitempty"`    // it has other addresses, which berth does not know
	Traffic   *Traffic       `json:"traffic,omitempty"` // since the guest's start, where it has been counted
}

// Traffic is what went into a guest and out of it.
type Traffic struct {
	In  Count `json:"in"`
	Out Count `json:"out"`
}

// Count is a number of packets, and their bytes.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// PortStatus is a port of the host, or a range, that a guest answers.
type PortStatus struct {
	Protocol string       `json:"protocol"`
	Host     Ports        `json:"hostPort"`
	Listen   netip.Addr   `json:"hostAddress,omitzero"` // zero: all of the host's addresses
	Guest    Ports        `json:"containerPort"`
	Answers  []netip.Addr `json:"addresses"`         // the guest's, at most one a family
	Traffic  *Traffic     `json:"traffic,omitempty"` // since the guest's start, where it runs
}

// NetworkStatus is a network of berth's and who is on it.
type NetworkStatus struct {
	Name     string          `json:"name"`
	Owner    Owner           `json:"owner,omitempty"` // empty: it was made on demand
	Bridge   string          `json:"bridge"`
	Subnet   netip.Prefix    `json:"subnet,omitzero"`
	Subnet6  netip.Prefix    `json:"subnet6,omitzero"`
	NAT      bool            `json:"nat"`
	Isolated bool            `json:"isolated"`
	DHCP     bool            `json:"dhcp"`
	Guests   []NetworkMember `json:"containers"`
}

// NetworkMember is a container on a network.
type NetworkMember struct {
	Name      Name           `json:"name"`
	Running   bool           `json:"running"` // it is attached now
	Addresses []netip.Prefix `json:"addresses"`
}
