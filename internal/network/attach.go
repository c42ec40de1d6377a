package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/link"
	"github.com/berth-containers/berth/internal/state"
)

// Attach gives a guest, whose network namespace is guest, what its lease says.
// It is called from the host's network namespace, before the guest's init runs.
// What an earlier run of the container left is taken down first. After an error,
// or a kill, Detach removes what was made.
func Attach(ctx context.Context, paths state.Paths, l Lease, guest *os.File) error {
	return locked(ctx, paths, func() (err error) {
		a, err := newAttachment(paths, guest)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.close()) }()
		if a.host.Same(a.guest) {
			return errors.New("the guest has no network namespace of its own")
		}
		was, err := release(paths, l.Name, a.host)
		if err != nil {
			return err
		}
		return a.attach(ctx, was, l)
	})
}

// attachment is a guest that is being attached.
type attachment struct {
	paths       state.Paths
	host, guest *link.Namespace
	file        *os.File // of guest
}

func newAttachment(paths state.Paths, guest *os.File) (*attachment, error) {
	host, err := link.Own()
	if err != nil {
		return nil, err
	}
	in, err := link.In(guest)
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return &attachment{paths, host, in, guest}, nil
}

func (a *attachment) close() error { return errors.Join(a.host.Close(), a.guest.Close()) }

// attach makes of what the lease was, whose links are gone, what it is.
func (a *attachment) attach(ctx context.Context, was, l Lease) error {
	l.Attached = false
	if err := choose(a.paths, &l, a.host); err != nil {
		return err
	}
	if err := a.remember(&l); err != nil {
		return err
	}
	if err := writeLease(a.paths, l); err != nil {
		return err
	}
	if err := a.bridges(l); err != nil {
		return err
	}
	for _, k := range l.Links {
		if err := a.make(l, k); err != nil {
			return fmt.Errorf("%s: %w", k.Guest, err)
		}
	}
	if err := rulesOf(a.paths).Update(ctx, was, l); err != nil {
		return err
	}
	for _, k := range l.Links {
		if err := errors.Join(a.activate(k), a.introduce(l, k)); err != nil {
			return fmt.Errorf("%s: %w", k.Guest, err)
		}
	}
	l.Attached = true
	return writeLease(a.paths, l)
}

// remember keeps what interfaces are on the host that the guest is lent, and
// holds on to the guest's namespace so that they come back whatever ends it.
func (a *attachment) remember(l *Lease) error {
	lent := false
	for i := range l.Links {
		k := &l.Links[i]
		if k.Kind != Moved {
			continue
		}
		if k.Host == "lo" {
			return errors.New("interfaces: the loopback interface stays on the host")
		}
		was, err := a.host.Look(k.Host)
		if err != nil {
			return missing("interfaces", k.Host, err)
		}
		k.Was, lent = &was, true
	}
	if !lent {
		return nil
	}
	return pin(a.paths, l.Name, a.file)
}

// missing adds to an error about an interface of the host what to do.
func missing(key, name string, err error) error {
	if !errors.Is(err, link.ErrNotFound) {
		return err
	}
	return &container.Error{Err: fmt.Errorf("%s: the host has no interface %s", key, name), Hint: "ip link shows the interfaces that there are"}
}

// bridges makes those of berth's own that l needs.
func (a *attachment) bridges(l Lease) error {
	if err := manage(a.paths, l); err != nil {
		return err
	}
	for _, k := range l.Links {
		if k.Kind != Bridged || k.Network == "" {
			continue
		}
		n, err := readNetwork(a.paths, k.Network)
		if err != nil {
			return fmt.Errorf("network %s: %w", k.Network, err)
		}
		err = a.host.MakeBridge(bridgeOf(a.paths, n))
		if errors.Is(err, link.ErrTaken) {
			return &container.Error{Err: fmt.Errorf("network %s: there is a bridge %s already, which is not of berth", n.Name, n.Bridge),
				Hint: "give the network another bridge, or let hostBridge be " + n.Bridge}
		}
		if err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
	}
	return nil
}

func bridgeOf(paths state.Paths, n Network) link.Bridge {
	return link.Bridge{Name: n.Bridge, MAC: bridgeMAC(paths, n.Bridge), Addresses: n.Gateways(), Mark: link.Mark{Owner: ours(paths, ""), AltNames: []string{prefix + n.Bridge}}}
}

func bridgeMAC(paths state.Paths, bridge string) net.HardwareAddr {
	mac := hardwareOf(paths, Lease{}, bridge)
	mac[0] = 0x02
	return mac
}

// make makes one link, without setting it up.
func (a *attachment) make(l Lease, k Link) error {
	switch k.Kind {
	case Macvlan:
		return missing("macvlans", k.Host, a.guest.MakeMacvlan(k.Guest, k.MAC.Hardware(), k.Host, a.host))
	case Moved:
		return a.host.Move(k.Host, a.guest, k.Guest)
	}
	v := link.Veth{Inner: k.Guest, Outer: k.Host, InnerMAC: k.MAC.Hardware(), OuterMAC: hardwareOf(a.paths, l, k.Guest),
		Mark: link.Mark{Owner: ours(a.paths, l.Name), AltNames: []string{prefix + k.Host}}}
	if k.FullName != "" {
		v.Mark.AltNames = append(v.Mark.AltNames, k.FullName)
	}
	if k.Kind == Bridged {
		is, mtu, err := a.host.IsBridge(k.Bridge)
		if errors.Is(err, link.ErrNotFound) || err == nil && !is {
			return &container.Error{Err: fmt.Errorf("hostBridge: the host has no bridge %s", k.Bridge), Hint: "ip link show type bridge shows the bridges that there are"}
		} else if err != nil {
			return err
		}
		v.MTU = mtu
	}
	if err := a.guest.MakeVeth(v, a.host); err != nil {
		return err
	}
	return a.host.Quieten(k.Host) // the host takes no advice from guests
}

// activate sets a link up on both sides, with its addresses and routes.
func (a *attachment) activate(k Link) error {
	switch k.Kind {
	case Bridged:
		if k.Network != "" { // never on a bridge that others use too
			if err := LocalRoutes(k.Bridge); err != nil {
				return err
			}
		}
		if err := a.enslave(k); err != nil {
			return err
		}
	case Point:
		if err := a.opposite(k); err != nil {
			return err
		}
	case Macvlan, Moved:
		if len(k.Addresses) == 0 { // up to the guest
			return nil
		}
	}
	if len(k.Addresses) > 0 {
		if err := a.guest.Quieten(k.Guest); err != nil {
			return err
		}
	}
	if err := errors.Join(a.guest.SetAddresses(k.Guest, k.Addresses), a.guest.Up(k.Guest)); err != nil {
		return err
	}
	for _, g := range k.Gateways {
		if err := a.guest.SetGateway(k.Guest, g); err != nil {
			return err
		}
	}
	return a.answerBy(k)
}

// enslave makes the host's side of a link a port of its bridge. On a network of
// berth's it is known who is there.
func (a *attachment) enslave(k Link) error {
	if err := a.host.Enslave(k.Host, k.Bridge); err != nil {
		return err
	}
	if k.Network != "" {
		if err := a.host.Bind(k.Host, k.MAC.Hardware()); err != nil {
			return err
		}
	}
	return a.host.Up(k.Host)
}

// answerBy has what the guest sends from its addresses on a link go by that link,
// where the default route is another's, or to what is on another: nobody takes it
// from the guest there.
func (a *attachment) answerBy(k Link) error {
	for _, p := range k.Addresses {
		for _, r := range k.returnsFor(p) {
			if err := a.guest.SetReturn(k.Guest, p, r.by, r.to, k.Table); err != nil {
				return err
			}
		}
	}
	for _, g := range k.Returns {
		if k.Kind != Point {
			continue
		}
		if err := a.guest.SetRoute(k.Guest, single(g)); err != nil {
			return err
		}
	}
	return nil
}

// way is a gateway, and what is behind it.
type way struct {
	by netip.Addr
	to netip.Prefix
}

// returnsFor are the ways that the guest's answers from an address of k go, beside
// what is on the link.
func (k Link) returnsFor(from netip.Prefix) []way {
	var out []way
	for _, g := range k.Returns {
		if g.Is4() == from.Addr().Is4() {
			out = append(out, way{g, netip.PrefixFrom(g, 0).Masked()})
		}
	}
	for _, g := range k.Gateways {
		for _, to := range k.Around {
			if g.Is4() == from.Addr().Is4() && g.Is4() == to.Addr().Is4() {
				out = append(out, way{g, to})
			}
		}
	}
	return out
}

// single is the prefix of one address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// introduce tells the guest and the host at which hardware addresses they have
// each other, on networks and links of berth's. On a bridge of others, somebody
// else may come to have an address.
func (a *attachment) introduce(l Lease, k Link) error {
	if k.MAC == "" {
		return nil // the kernel has chosen it
	}
	on, mac := k.Host, hardwareOf(a.paths, l, k.Guest)
	switch {
	case k.Kind == Bridged && k.Network != "":
		on, mac = k.Bridge, bridgeMAC(a.paths, k.Bridge)
	case k.Kind != Point:
		return nil
	}
	for _, p := range k.Addresses {
		if err := a.host.SetNeighbour(on, p.Addr(), k.MAC.Hardware()); err != nil {
			return err
		}
	}
	for _, g := range slices.Concat(k.Gateways, k.Returns) {
		if err := a.guest.SetNeighbour(k.Guest, g, mac); err != nil {
			return err
		}
	}
	return nil
}

// opposite sets up the host's side of a link to a guest alone. Nothing but the
// guest is on it, whatever the prefixes say: they may be those of another link of
// the host, as they are where guests share the host's address.
func (a *attachment) opposite(k Link) error {
	err := errors.Join(LocalRoutes(k.Host), a.host.SetOwnAddresses(k.Host, k.HostAddresses), a.host.Up(k.Host))
	for _, p := range k.Addresses {
		if err == nil {
			err = a.host.SetRoute(k.Host, single(p.Addr()))
		}
	}
	return err
}
