package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Owner is whose the interface of this name is; see Mark. Where there is none
// the error matches ErrNotFound.
func (n *Namespace) Owner(name string) (string, error) {
	l, err := n.find(name)
	if err != nil {
		return "", err
	}
	return l.Attrs().Alias, nil
}

// IsBridge reports whether the interface is a bridge, and its MTU. Where there
// is none the error matches ErrNotFound.
func (n *Namespace) IsBridge(name string) (is bool, mtu int, err error) {
	l, err := n.find(name)
	if err != nil {
		return false, 0, err
	}
	return l.Type() == "bridge", l.Attrs().MTU, nil
}

// Enslave makes the interface a port of a bridge. The host itself has no
// address on it, and takes nothing that comes from there for its own. The bridge
// may send frames back where they came from: where it passes them to the rules
// for IP, a guest reaches itself that way by a port of the host. What is behind the
// port is no switch.
func (n *Namespace) Enslave(name, bridge string) error {
	l, err := n.find(name)
	if err != nil {
		return err
	}
	b, err := n.find(bridge)
	if err != nil {
		return err
	}
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	if err := n.handle.LinkSetIP6AddrGenMode(l, none); err != nil && !noIPv6(err) {
		return fmt.Errorf("set up %s: %w", name, err)
	}
	if err := n.handle.LinkSetMasterByIndex(l, b.Attrs().Index); err != nil {
		return fmt.Errorf("make %s a port of %s: %w", name, bridge, err)
	}
	if err := n.handle.LinkSetHairpin(l, true); err != nil {
		return fmt.Errorf("let %s send back to %s: %w", bridge, name, err)
	}
	if err := n.handle.LinkSetGuard(l, true); err != nil {
		return fmt.Errorf("keep %s from leading %s: %w", name, bridge, err)
	}
	return nil
}

// Bind says who is behind the port of a bridge, for good: he gets what is for his
// address and for groups, and nothing else, however long he has been silent.
func (n *Namespace) Bind(name string, mac net.HardwareAddr) error {
	l, err := n.find(name)
	if err != nil {
		return err
	}
	err = errors.Join(n.handle.LinkSetLearning(l, false), n.handle.LinkSetFlood(l, false),
		n.handle.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER, HardwareAddr: mac}))
	if err != nil {
		return fmt.Errorf("bind %s to %v: %w", name, mac, err)
	}
	return nil
}

func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// Quieten keeps an interface from configuring itself by what it hears: no
// router advertisements are taken, and no time is spent on looking for others
// with its addresses.
func (n *Namespace) Quieten(name string) error { return n.write(quiet(name)...) }

// Up sets the interface up.
func (n *Namespace) Up(name string) error {
	l, err := n.find(name)
	if err != nil {
		return err
	}
	return n.up(l)
}

func (n *Namespace) up(l netlink.Link) error {
	if err := n.handle.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", l.Attrs().Name, err)
	}
	return nil
}

// SetAddresses gives the interface these addresses, beside those that it has.
// They can be used at once.
func (n *Namespace) SetAddresses(name string, addresses []netip.Prefix) error {
	return n.setAddresses(name, addresses, 0)
}

// SetOwnAddresses does the same, but makes no routes to what else there is in
// the prefixes.
func (n *Namespace) SetOwnAddresses(name string, addresses []netip.Prefix) error {
	return n.setAddresses(name, addresses, unix.IFA_F_NOPREFIXROUTE)
}

func (n *Namespace) setAddresses(name string, addresses []netip.Prefix, flags int) error {
	l, err := n.find(name)
	if err != nil {
		return err
	}
	for _, p := range addresses {
		a := &netlink.Addr{IPNet: ipNet(p), Flags: flags}
		if p.Addr().Is6() {
			a.Flags |= unix.IFA_F_NODAD
		}
		err := n.handle.AddrReplace(l, a)
		if p.Addr().Is6() && errors.Is(err, unix.EACCES) {
			err = n.allowIPv6(l, a)
		}
		if err != nil {
			return fmt.Errorf("give %s the address %v: %w", name, p, err)
		}
	}
	return nil
}

// allowIPv6 gives an interface an address where new ones have no IPv6, as
// "sysctl net.ipv6.conf.default.disable_ipv6=1" has it: whoever says so means
// those that lead to other machines.
func (n *Namespace) allowIPv6(l netlink.Link, a *netlink.Addr) error {
	if err := n.write(ipv6(l.Attrs().Name, "disable_ipv6", "0")...); err != nil {
		return err
	}
	return n.handle.AddrReplace(l, a)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// SetGateway makes gateway a default route through the interface. It need not
// be in a prefix of an address there.
func (n *Namespace) SetGateway(name string, gateway netip.Addr) error {
	all := netip.PrefixFrom(gateway, 0).Masked()
	return n.route(name, netlink.Route{Dst: ipNet(all), Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}, fmt.Sprintf("by %v", gateway))
}

// SetRoute makes a route to what is directly on the interface.
func (n *Namespace) SetRoute(name string, to netip.Prefix) error {
	return n.route(name, netlink.Route{Dst: ipNet(to.Masked()), Scope: onLink(to)}, fmt.Sprintf("to %v", to))
}

// SetReturn has what is sent from an address of the interface to a prefix go by
// the interface, through gateway but for what is in the address' prefix, whatever other
// routes there are. It takes a table of routes, and rules of the table's number.
func (n *Namespace) SetReturn(name string, from netip.Prefix, gateway netip.Addr, to netip.Prefix, table int) error {
	err := n.route(name, netlink.Route{Dst: ipNet(to), Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK), Table: table}, fmt.Sprintf("to %v by %v", to, gateway))
	if err == nil && !from.IsSingleIP() {
		err = n.route(name, netlink.Route{Dst: ipNet(from.Masked()), Scope: onLink(from), Table: table}, fmt.Sprintf("to %v", from.Masked()))
	}
	if err != nil {
		return err
	}
	rule := netlink.NewRule()
	rule.Src, rule.Table, rule.Priority, rule.Protocol = ipNet(netip.PrefixFrom(from.Addr(), from.Addr().BitLen())), table, table, unix.RTPROT_STATIC
	rule.Family = unix.AF_INET
	if from.Addr().Is6() {
		rule.Family = unix.AF_INET6
	}
	if err := n.handle.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make a rule for routes from %v: %w", from.Addr(), err)
	}
	return nil
}

// onLink is the scope of routes to what is directly on an interface.
func onLink(to netip.Prefix) netlink.Scope {
	if to.Addr().Is6() {
		return netlink.SCOPE_UNIVERSE
	}
	return netlink.SCOPE_LINK
}

// SetNeighbour says at which hardware address an address on the interface is, for
// good: nobody has to ask there. The kernel's table of those that it has asked
// for is the whole machine's, so that one namespace can fill it for all.
func (n *Namespace) SetNeighbour(name string, a netip.Addr, at net.HardwareAddr) error {
	return n.neighbour(name, a, at, n.handle.NeighSet)
}

// RemoveNeighbour takes back what SetNeighbour said. Nothing of it may be there,
// nor the interface.
func (n *Namespace) RemoveNeighbour(name string, a netip.Addr) error {
	err := n.neighbour(name, a, nil, n.handle.NeighDel)
	if errors.Is(err, ErrNotFound) || errors.Is(err, unix.ENOENT) || noIPv6(err) {
		return nil
	}
	return err
}

func (n *Namespace) neighbour(name string, a netip.Addr, at net.HardwareAddr, do func(*netlink.Neigh) error) error {
	l, err := n.find(name)
	if err != nil {
		return err
	}
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	err = do(&netlink.Neigh{LinkIndex: l.Attrs().Index, Family: family, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: at})
	if err != nil {
		return fmt.Errorf("the neighbour %v of %s: %w", a, name, err)
	}
	return nil
}

func (n *Namespace) route(name string, r netlink.Route, what string) error {
	l, err := n.find(name)
	if err != nil {
		return err
	}
	r.LinkIndex, r.Protocol = l.Attrs().Index, unix.RTPROT_STATIC // as systemd-networkd makes them, which then takes them for its own
	if err := n.handle.RouteReplace(&r); err != nil {
		return fmt.Errorf("make a route %s through %s: %w", what, name, err)
	}
	return nil
}
