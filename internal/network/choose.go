package network

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Used are addresses and who has them.
type Used struct {
	addresses map[netip.Addr]container.Name
	macs      map[string]container.Name
}

// UsedBy are the addresses of all containers but the one called except: those
// that are kept for them, those that their specs name, and those of guests
// that run.
func UsedBy(records []state.Record, leases []Lease, except container.Name) Used {
	u := Used{map[netip.Addr]container.Name{}, map[string]container.Name{}}
	for _, r := range records {
		if r.Name == except {
			continue
		}
		for _, l := range r.Links {
			u.add(r.Name, l.MAC, l.Addresses...)
		}
		for _, a := range fixed(r.Spec) {
			u.add(r.Name, "", a)
		}
		u.add(r.Name, r.Spec.LocalMacAddress)
	}
	for _, l := range leases {
		if l.Name == except {
			continue
		}
		for _, i := range l.Links {
			for _, p := range slices.Concat(i.Addresses, i.HostAddresses) {
				u.add(l.Name, string(i.MAC), p.Addr())
			}
		}
	}
	return u
}

func (u Used) add(n container.Name, mac string, addresses ...netip.Addr) {
	for _, a := range addresses {
		u.addresses[a] = n
	}
	if mac != "" {
		u.macs[mac] = n
	}
}

// fixed are the addresses that a spec names, on either side of its links.
func fixed(s container.Spec) []netip.Addr {
	var out []netip.Addr
	add := func(texts ...string) {
		for _, t := range texts {
			if p, ok := parsePrefix(t); ok {
				out = append(out, p.Addr())
			}
		}
	}
	add(s.LocalAddress, s.LocalAddress6)
	for _, v := range s.ExtraVeths {
		add(v.LocalAddress, v.LocalAddress6)
	}
	return out
}

// parsePrefix reads an address with or without prefix length.
func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// Choose gives what the interfaces of rec's spec have: what rec has already,
// where that still fits, and else addresses that nobody uses. networks has all
// the networks that the spec names.
func Choose(paths state.Paths, rec state.Record, networks Networks, used Used) ([]state.Link, error) {
	c := chooser{paths: paths, rec: rec, used: used}
	var out []state.Link
	for i, name := range rec.Spec.BerthNetworks() {
		n, ok := networks[name]
		if !ok {
			return nil, noNetwork(name, networks)
		}
		l, err := c.onNetwork(n, onFirst(rec.Spec) && i == 0)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	for _, name := range otherLinks(rec.Spec) {
		out = append(out, state.Link{Interface: name, MAC: c.mac(linkOf(c.rec, "", name), name)})
	}
	return out, nil
}

// onFirst reports whether the guest's first interface is on a network of
// berth's, so that the spec's fixed addresses are of there.
func onFirst(s container.Spec) bool { return s.HostBridge == "" && !s.Opposite() }

// otherLinks are the interfaces in the guest that berth makes, beside those on
// its own networks.
func otherLinks(s container.Spec) []string {
	if !s.PrivateNetwork {
		return nil
	}
	var out []string
	if s.HostBridge != "" || s.Opposite() {
		out = append(out, "eth0")
	}
	out = append(out, slices.Sorted(maps.Keys(s.ExtraVeths))...)
	for _, m := range s.Macvlans {
		name, _ := shortened("mv-" + m)
		out = append(out, name)
	}
	return out
}

func noNetwork(name string, networks Networks) error {
	hint := "declare it below networks:, or use zone for one that is made on demand"
	if len(networks) > 0 {
		hint += fmt.Sprintf("; there is %s", strings.Join(slices.Sorted(maps.Keys(networks)), ", "))
	}
	return &container.Error{Err: fmt.Errorf("there is no network %s", name), Hint: hint}
}

// chooser chooses for one container.
type chooser struct {
	paths state.Paths
	rec   state.Record
	used  Used
}

// linkOf is what rec has for a network or an interface; the zero Link if
// nothing.
func linkOf(rec state.Record, network, name string) state.Link {
	i := slices.IndexFunc(rec.Links, func(l state.Link) bool { return l.Network == network && l.Interface == name })
	if i < 0 {
		return state.Link{}
	}
	return rec.Links[i]
}

func (c chooser) onNetwork(n Network, first bool) (state.Link, error) {
	have := linkOf(c.rec, n.Name, "")
	l := state.Link{Network: n.Name, MAC: c.mac(have, n.Name)}
	for _, f := range []struct {
		key, text string
		subnet    netip.Prefix
	}{{"localAddress", c.rec.Spec.LocalAddress, n.Subnet}, {"localAddress6", c.rec.Spec.LocalAddress6, n.Subnet6}} {
		var a netip.Addr
		var err error
		if p, ok := parsePrefix(f.text); ok && first {
			a, err = c.wanted(p, f.key, f.subnet, n.Name)
		} else if f.subnet.IsValid() {
			a, err = c.address(n.Name, f.subnet, have.Addresses)
		}
		if err != nil {
			return l, err
		}
		if a.IsValid() {
			l.Addresses = append(l.Addresses, a)
		}
	}
	return l, nil
}

// wanted is the address that a key of the spec names.
func (c chooser) wanted(p netip.Prefix, key string, subnet netip.Prefix, network string) (netip.Addr, error) {
	bad := func(hint, format string, args ...any) (netip.Addr, error) {
		return netip.Addr{}, &container.Error{Err: fmt.Errorf(key+": "+format, args...), Hint: hint}
	}
	by := c.used.addresses[p.Addr()]
	switch {
	case !subnet.IsValid():
		return bad("leave the key out", "the network %s has no addresses of this family", network)
	case p.Addr() == subnet.Masked().Addr().Next():
		return bad(fmt.Sprintf("choose another one of %v", subnet), "%v is the host's own address on the network %s", p.Addr(), network)
	case !inside(subnet, p.Addr()):
		return bad(fmt.Sprintf("choose one of %v", subnet), "%v is not a guest's address on the network %s", p.Addr(), network)
	case !p.IsSingleIP() && p.Bits() != subnet.Bits():
		return bad("leave the prefix length out", "the network %s is %v", network, subnet)
	case by != "":
		return bad("choose another address", "%v is that of the container %s", p.Addr(), by)
	}
	return p.Addr(), nil
}

// inside reports whether a guest can have the address a on a subnet: not the
// first one, which stands for the subnet, nor the second, which is the host's,
// nor the last of IPv4, which is everybody's.
func inside(subnet netip.Prefix, a netip.Addr) bool {
	first := subnet.Masked().Addr()
	return subnet.Contains(a) && a != first && a != first.Next() && (a.Is6() || subnet.Contains(a.Next()))
}

// address is that which the container had, or else one that nobody uses. The
// search begins at a place that follows from the name, so that a container
// made again on a quiet host has the same address.
func (c chooser) address(network string, subnet netip.Prefix, have []netip.Addr) (netip.Addr, error) {
	for _, a := range have {
		if inside(subnet, a) && c.used.addresses[a] == "" {
			return a, nil
		}
	}
	const most = 32 // bits that are made use of
	slots := uint64(1) << min(subnet.Addr().BitLen()-subnet.Bits(), most)
	start := c.hash("address", network) % slots
	for i := range slots {
		a := plus(subnet.Masked().Addr(), (start+i)%slots)
		if inside(subnet, a) && c.used.addresses[a] == "" {
			return a, nil
		}
	}
	return netip.Addr{}, &container.Error{Err: fmt.Errorf("all addresses of the network %s, %v, are in use", network, subnet),
		Hint: "destroy containers that are not needed, or give the network a larger subnet"}
}

// mac is that which the container had, or else one that nobody has.
func (c chooser) mac(have state.Link, what string) string {
	if have.MAC != "" && c.used.macs[have.MAC] == "" {
		return have.MAC
	}
	for i := 0; ; i++ {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], c.hash("mac", c.rec.MachineID, what, fmt.Sprint(i)))
		b[0] = b[0]&^0x01 | 0x02 // of one machine, and given by nobody who makes hardware
		if mac := net.HardwareAddr(b[:6]).String(); c.used.macs[mac] == "" {
			return mac
		}
	}
}

// hash follows from the instance, the container's name and words.
func (c chooser) hash(words ...string) uint64 {
	h := sha256.New()
	for _, w := range append([]string{c.paths.Instance(), string(c.rec.Name)}, words...) {
		fmt.Fprintf(h, "%d %s", len(w), w)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
