package survey

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/network/dump"
)

// Range is a range of addresses that the machine has or knows a way to.
type Range struct {
	netip.Prefix
	Link string // the interface; empty where the way leads nowhere
}

// Machine is the network namespace of the calling thread.
type Machine struct{ handle *netlink.Handle }

// Open returns the machine. The caller closes it.
func Open() (*Machine, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &Machine{h}, nil
}

// Close gives the socket back.
func (m *Machine) Close() { m.handle.Close() }

// Ranges are the subnets of all addresses of the machine, and the destinations
// of all routes, of every routing table.
func (m *Machine) Ranges() ([]Range, error) {
	links, err := m.links()
	if err != nil {
		return nil, err
	}
	addresses, err := dump.Whole(func() ([]netlink.Addr, error) { return m.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	var out []Range
	for _, a := range addresses {
		if p, ok := prefixOf(a.IPNet); ok {
			out = append(out, Range{p.Masked(), links[a.LinkIndex]})
		}
	}
	routes, err := dump.Whole(func() ([]netlink.Route, error) {
		return m.handle.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if p, ok := prefixOf(r.Dst); ok && r.Table != unix.RT_TABLE_LOCAL {
			out = append(out, Range{p.Masked(), links[r.LinkIndex]})
		}
	}
	return out, nil
}

// Addresses are the machine's own addresses, by interface.
func (m *Machine) Addresses() (map[netip.Addr]string, error) {
	links, err := m.links()
	if err != nil {
		return nil, err
	}
	addresses, err := dump.Whole(func() ([]netlink.Addr, error) { return m.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	out := map[netip.Addr]string{}
	for _, a := range addresses {
		if p, ok := prefixOf(a.IPNet); ok {
			out[p.Addr()] = links[a.LinkIndex]
		}
	}
	return out, nil
}

func (m *Machine) links() (map[int]string, error) {
	list, err := dump.Whole(m.handle.LinkList)
	if err != nil {
		return nil, err
	}
	out := map[int]string{}
	for _, l := range list {
		out[l.Attrs().Index] = l.Attrs().Name
	}
	return out, nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if size == 32 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, bits), ok && bits <= a.BitLen()
}
