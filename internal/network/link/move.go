package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/network/dump"
)

// State is what Restore gives back to an interface that was in another
// namespace.
type State struct {
	Up        bool           `json:"up"`
	MAC       string         `json:"mac,omitempty"` // of the hardware, where that has one
	Type      string         `json:"type"`          // the kernel's word, such as device or vlan
	Addresses []netip.Prefix `json:"addresses,omitempty"`
}

// Look reads the state of an interface. Addresses that the kernel makes itself
// are not in it.
func (n *Namespace) Look(name string) (State, error) {
	l, err := n.find(name)
	if err != nil {
		return State{}, err
	}
	s := State{Up: l.Attrs().Flags&net.FlagUp != 0, MAC: hardware(l), Type: l.Type()}
	all, err := dump.Whole(func() ([]netlink.Addr, error) { return n.handle.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return State{}, fmt.Errorf("read the addresses of %s: %w", name, err)
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if ok && !ip.Unmap().IsLinkLocalUnicast() && a.Flags&unix.IFA_F_PERMANENT != 0 {
			s.Addresses = append(s.Addresses, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	return s, nil
}

// Move moves an interface to another namespace, where it is called as.
func (n *Namespace) Move(name string, to *Namespace, as string) error {
	l, err := n.find(name)
	if err != nil {
		return err
	}
	if name != as {
		// In n, where it goes down first: whoever watches the other namespace
		// never sees it under the wrong name.
		if err := n.handle.LinkSetDown(l); err != nil {
			return fmt.Errorf("set %s down: %w", name, err)
		}
		if err := n.handle.LinkSetName(l, as); err != nil {
			return fmt.Errorf("name %s %s: %w", name, as, err)
		}
	}
	if err := n.handle.LinkSetNsFd(l, int(to.file.Fd())); errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("move %s: its driver keeps it in its network namespace: %w", name, err)
	} else if err != nil {
		return fmt.Errorf("move %s: %w", name, err)
	}
	return nil
}

// Restore gives an interface back what it had.
func (n *Namespace) Restore(name string, s State) error {
	if s.Up {
		if err := n.Up(name); err != nil {
			return err
		}
	}
	return n.SetAddresses(name, s.Addresses)
}

// Find is the name of the interface that s is the state of, however it is
// called now; "" where there is none. One without a hardware address is not found.
func (n *Namespace) Find(s State) (string, error) {
	all, err := dump.Whole(n.handle.LinkList)
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	i := slices.IndexFunc(all, func(l netlink.Link) bool { return s.MAC != "" && l.Type() == s.Type && hardware(l) == s.MAC })
	if i < 0 {
		return "", nil
	}
	return all[i].Attrs().Name, nil
}

// hardware is the address that the interface was made with, where the kernel
// keeps it.
func hardware(l netlink.Link) string {
	if own := l.Attrs().PermHWAddr; len(own) > 0 {
		return own.String()
	}
	return l.Attrs().HardwareAddr.String()
}
