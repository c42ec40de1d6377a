package network

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/firewall"
	"github.com/berth-containers/berth/internal/network/survey"
)

// Facts are what a machine has that a lease may run into.
type Facts struct {
	Listeners []survey.Listener
	Published []firewall.Published
	Addresses map[netip.Addr]string // the machine's own, and their interfaces
	Ranges    []survey.Range
	Interface func(name string) (*survey.Interface, error)
}

// Between are the reasons why a guest cannot have the lease l beside others,
// whether these run or not.
func Between(l Lease, others []Lease) error {
	var errs []error
	for _, o := range others {
		if o.Name == l.Name {
			continue
		}
		for _, p := range l.Ports {
			if i := slices.IndexFunc(o.Ports, p.meets); i >= 0 {
				errs = append(errs, &container.Error{Err: fmt.Errorf("forwardPorts: %v of the host is that of the container %s", p.common(o.Ports[i]), o.Name),
					Hint: "choose another hostPort for one of the two"})
			}
		}
		for _, k := range l.Links {
			errs = append(errs, k.against(o))
		}
		errs = append(errs, l.besideIngress(o))
	}
	return errors.Join(errs...)
}

// against is why a link cannot be beside those of another guest. Addresses that
// are both on networks of berth's are chosen, and no business of this.
func (k Link) against(o Lease) error {
	for _, other := range o.Links {
		same := k.Host == other.Host
		switch {
		case same && k.Kind == Moved && other.Kind == Moved:
			return &container.Error{Err: fmt.Errorf("interfaces: %s is moved into the container %s", k.Host, o.Name), Hint: "an interface can be in one guest only"}
		case same && (k.Kind == Moved || other.Kind == Moved) && (k.Kind == Macvlan || other.Kind == Macvlan):
			return &container.Error{Err: fmt.Errorf("%s is used by the container %s too, and one of the two takes it from the host", k.Host, o.Name),
				Hint: "use macvlans for both"}
		case same && k.pair() && other.pair():
			return &container.Error{Err: fmt.Errorf("extraVeths: the container %s has a link called %s on the host", o.Name, k.Host), Hint: "choose another name for one of the two"}
		case k.Kind == Bridged && other.Kind == Bridged && k.Bridge == other.Bridge && k.MAC != "" && k.MAC == other.MAC:
			return &container.Error{Err: fmt.Errorf("the hardware address %s is that of the container %s on the same bridge", k.MAC, o.Name), Hint: "choose another localMacAddress for one of the two"}
		}
		if k.segment() != other.segment() || k.Network != "" && other.Network != "" {
			continue
		}
		for _, a := range slices.Concat(k.Addresses, k.HostAddresses) {
			if slices.ContainsFunc(other.Addresses, func(b netip.Prefix) bool { return a.Addr() == b.Addr() }) {
				return &container.Error{Err: fmt.Errorf("the address %v is that of the container %s", a.Addr(), o.Name), Hint: "choose another address for one of the two"}
			}
		}
	}
	return nil
}

// segment is the bridge that is not berth's on which the link is: addresses there
// are that network's business. Elsewhere the host has a route to each, and it
// is empty.
func (k Link) segment() string {
	if k.Kind == Bridged && k.Network == "" {
		return k.Bridge
	}
	return ""
}

// pair reports whether the link has a side of its own on the host.
func (k Link) pair() bool { return k.Kind == Bridged || k.Kind == Point }

// meets reports whether two ports of the host cannot both be forwarded.
func (p Port) meets(q Port) bool {
	family := func(a netip.Addr) bool {
		return slices.ContainsFunc(q.Guest, func(b netip.Addr) bool { return a.Is4() == b.Is4() })
	}
	return p.Protocol == q.Protocol && p.First <= q.Last && q.First <= p.Last &&
		(!p.Listen.IsValid() || !q.Listen.IsValid() || p.Listen == q.Listen) && slices.ContainsFunc(p.Guest, family)
}

// isPartOf reports whether whoever has the ports q has p already, wherever that
// answers.
func (p Port) isPartOf(q Port) bool {
	return p.Protocol == q.Protocol && q.First <= p.First && p.Last <= q.Last && (!q.Listen.IsValid() || p.Listen == q.Listen) &&
		!slices.ContainsFunc(p.Guest, func(a netip.Addr) bool { return !slices.Contains(q.Guest, a) })
}

// common is what p and q share, for people.
func (p Port) common(q Port) string {
	return ports(p.Protocol, max(p.First, q.First), min(p.Last, q.Last))
}

func ports(protocol string, first, last uint16) string {
	if first == last {
		return fmt.Sprintf("%s port %d", protocol, first)
	}
	return fmt.Sprintf("%s ports %d-%d", protocol, first, last)
}

// On are the reasons why a guest cannot have the lease l on a machine. What it
// has already, by the lease have, does not count.
func On(l, have Lease, f Facts) error {
	var errs []error
	for _, p := range l.Ports {
		if !slices.ContainsFunc(have.Ports, p.isPartOf) {
			errs = append(errs, p.on(f))
		}
	}
	for _, k := range l.Links {
		if !slices.ContainsFunc(have.Links, func(h Link) bool { return h.Kind == k.Kind && h.Host == k.Host && h.Bridge == k.Bridge }) {
			errs = append(errs, k.on(f))
		}
		for _, a := range k.Addresses {
			if link, ok := f.Addresses[a.Addr()]; ok {
				errs = append(errs, &container.Error{Err: fmt.Errorf("the address %v is the host's own, on %s", a.Addr(), link), Hint: "choose another address for the guest"})
			}
		}
	}
	return errors.Join(errs...)
}

func (p Port) on(f Facts) error {
	for _, s := range f.Listeners {
		if s.Protocol != p.Protocol || s.Address.Port() < p.First || s.Address.Port() > p.Last || !s.Answers(p.Listen) {
			continue
		}
		return &container.Error{
			Err: fmt.Errorf("forwardPorts: %s of the host is in use by %s", ports(p.Protocol, s.Address.Port(), s.Address.Port()),
				cmp.Or(s.Holder(), "a process that cannot be seen from here")),
			Hint: "stop it, or choose another hostPort"}
	}
	for _, o := range f.Published {
		if f.Answers(o.Address) && p.isLedBy(o) {
			return &container.Error{Err: fmt.Errorf("forwardPorts: %s of the host is led elsewhere by %s", ports(p.Protocol, max(p.First, o.First), min(p.Last, o.Last)), o.By),
				Hint: "have it publish another port, or choose another hostPort"}
		}
	}
	return nil
}

// isLedBy reports whether rules of others lead some of the port.
func (p Port) isLedBy(o firewall.Published) bool {
	return o.Protocol == p.Protocol && o.First <= p.Last && p.First <= o.Last &&
		(!o.Address.IsValid() || !p.Listen.IsValid() || p.Listen.IsUnspecified() || o.Address == p.Listen)
}

// Answers reports whether an address, or none, is the machine's own: what goes to
// others does not come to a port of the host.
func (f Facts) Answers(a netip.Addr) bool {
	_, own := f.Addresses[a]
	return own || !a.IsValid() || a.IsLoopback()
}

// PortsOn are the ports of a lease that somebody else on the machine has too.
func PortsOn(l Lease, f Facts) []error {
	var out []error
	for _, p := range l.Ports {
		if err := p.on(f); err != nil {
			out = append(out, err)
		}
	}
	return out
}

func (k Link) on(f Facts) error {
	look := func(name string) (*survey.Interface, error) {
		i, err := f.Interface(name)
		if err != nil {
			return nil, fmt.Errorf("look at the interface %s: %w", name, err)
		}
		return i, nil
	}
	switch {
	case k.Kind == Macvlan || k.Kind == Moved:
		key := map[Kind]string{Macvlan: "macvlans", Moved: "interfaces"}[k.Kind]
		i, err := look(k.Host)
		if err == nil && i == nil {
			err = &container.Error{Err: fmt.Errorf("%s: the host has no interface %s", key, k.Host), Hint: "ip link shows those that it has"}
		}
		return err
	case k.Kind == Bridged && k.Network == "":
		i, err := look(k.Bridge)
		switch {
		case err != nil:
			return err
		case i == nil:
			return &container.Error{Err: fmt.Errorf("hostBridge: the host has no bridge %s", k.Bridge),
				Hint: "make it (ip link add NAME type bridge), or use zone for a bridge that berth makes"}
		case !i.Bridge:
			return &container.Error{Err: fmt.Errorf("hostBridge: %s is an interface of the host, but no bridge", k.Bridge), Hint: "macvlans puts a guest on an interface without a bridge"}
		}
	}
	if k.pair() && k.Host == k.Guest { // a name of the owner's choice
		if i, err := look(k.Host); err != nil || i != nil {
			return cmp.Or(err, error(&container.Error{Err: fmt.Errorf("extraVeths: the host has an interface %s already", k.Host), Hint: "choose another name"}))
		}
	}
	return nil
}

// Overlaps is why a network cannot be set up: the machine has come to use its
// addresses elsewhere. Once its bridge is there, nothing is.
func (n Network) Overlaps(f Facts) error {
	if i, err := f.Interface(n.Bridge); err != nil || i != nil {
		return err
	}
	t := taken{own: []string{n.Bridge, n.Bridge}}
	for _, r := range f.Ranges {
		t.routes = append(t.routes, Route(r))
	}
	for _, p := range []netip.Prefix{n.Subnet, n.Subnet6} {
		if !p.IsValid() {
			continue
		}
		if by := t.by(p); by != "" {
			return &container.Error{Op: "network", Subject: n.Name, Err: fmt.Errorf("%v overlaps %s", p, by),
				Hint: "give the network another subnet: for the default one in /etc/berth/berth.yaml, for others below networks: in their declaration; then berth apply"}
		}
	}
	return nil
}
