package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Mark tells whose an interface is: its alias, as `ip link` shows it, and its
// alternative names. Whoever owns it made it.
type Mark struct {
	Owner    string
	AltNames []string
}

// Veth is a pair of interfaces, one in each of two namespaces.
type Veth struct {
	Inner, Outer string // the names on the two sides
	InnerMAC     net.HardwareAddr
	OuterMAC     net.HardwareAddr
	MTU          int // 0: the kernel's choice
	Mark         Mark
}

// MakeVeth makes v, with its inner side born in n and its outer side outside: to
// move one there would take the kernel some 15 ms. Both are down. The marks come
// right after: a process that is killed in between leaves one that Remove knows by its
// hardware address. The name has to be free outside.
func (n *Namespace) MakeVeth(v Veth, outside *Namespace) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = v.Outer, v.OuterMAC, v.MTU
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: v.Inner, PeerHardwareAddr: v.InnerMAC, PeerNamespace: netlink.NsFd(n.file.Fd())}
	if err := outside.handle.LinkAdd(pair); err != nil {
		return fmt.Errorf("make veth %s: %w", v.Outer, err)
	}
	outer, err := outside.find(v.Outer)
	if err != nil {
		return err
	}
	return outside.mark(outer, v.Mark)
}

func (n *Namespace) mark(l netlink.Link, m Mark) error {
	name := l.Attrs().Name
	if err := n.handle.LinkSetAlias(l, m.Owner); err != nil {
		return fmt.Errorf("mark %s: %w", name, err)
	}
	for _, a := range m.AltNames {
		if slices.Contains(l.Attrs().AltNames, a) {
			continue
		}
		err := n.handle.LinkAddAltName(l, a)
		if errors.Is(err, unix.EOPNOTSUPP) { // before Linux 5.5
			return nil
		} else if err != nil {
			return fmt.Errorf("give %s the name %s: %w", name, a, err)
		}
	}
	return nil
}

// Bridge is a bridge with its addresses.
type Bridge struct {
	Name      string
	MAC       net.HardwareAddr
	Addresses []netip.Prefix
	Mark      Mark
}

// MakeBridge makes b what is there, and up. It takes no routes from others, and
// passes what is for a group on to all of its ports: to find out who listens to
// which, it would believe any port that asks. A bridge of that name with another
// owner is an error that matches ErrTaken.
func (n *Namespace) MakeBridge(b Bridge) error {
	l, err := n.find(b.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr = b.Name, b.MAC
		if err := n.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: new(bool)}); err != nil {
			return fmt.Errorf("make bridge %s: %w", b.Name, err)
		}
		if l, err = n.find(b.Name); err != nil {
			return err
		}
	case err != nil:
		return err
	case l.Type() != "bridge" || l.Attrs().Alias != b.Mark.Owner && !b.bare(l):
		return fmt.Errorf("%s: %w", b.Name, ErrTaken)
	}
	if l.Attrs().Alias == b.Mark.Owner && l.Attrs().Flags&net.FlagUp != 0 {
		return n.SetAddresses(b.Name, b.Addresses)
	}
	if err := n.mark(l, b.Mark); err != nil {
		return err
	}
	if err := n.write(quiet(b.Name)...); err != nil {
		return err
	}
	if err := n.SetAddresses(b.Name, b.Addresses); err != nil {
		return err
	}
	return n.up(l)
}

// bare reports whether l is b as it is when its maker was killed right after
// making it.
func (b Bridge) bare(l netlink.Link) bool { return l.Type() == "bridge" && unmarked(l, b.MAC) }

func unmarked(l netlink.Link, mac net.HardwareAddr) bool {
	return l.Attrs().Alias == "" && l.Attrs().HardwareAddr.String() == mac.String()
}

// quiet are the settings of an interface that configures nothing by itself.
func quiet(name string) []setting {
	return ipv6(name, "accept_ra", "0", "autoconf", "0", "accept_redirects", "0", "accept_dad", "0", "dad_transmits", "0")
}

// MakeMacvlan makes a macvlan in n on the interface parent of outside. With no
// mac the kernel chooses one.
func (n *Namespace) MakeMacvlan(name string, mac net.HardwareAddr, parent string, outside *Namespace) error {
	p, err := outside.find(parent)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.ParentIndex = name, mac, p.Attrs().Index
	attrs.Namespace = netlink.NsFd(n.file.Fd())
	if err := outside.handle.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}); err != nil {
		return fmt.Errorf("make macvlan on %s: %w", parent, err)
	}
	return nil
}

// Remove removes the interface name where it is of owner, or nobody's yet with
// the hardware address mac, and reports whether it was there. One of somebody
// else is left alone.
func (n *Namespace) Remove(name, owner string, mac net.HardwareAddr) (bool, error) {
	l, err := n.find(name)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case l.Attrs().Alias != owner && !unmarked(l, mac):
		return false, nil
	}
	return true, n.delete(l)
}

// delete removes l. That it is going with its guest just now is no error.
func (n *Namespace) delete(l netlink.Link) error {
	err := n.handle.LinkDel(l)
	if err == nil || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return fmt.Errorf("remove %s: %w", l.Attrs().Name, err)
}
