package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Networks are networks by name.
type Networks map[string]Network

// ReadNetworks reads all networks that were chosen.
func ReadNetworks(paths state.Paths) (Networks, error) {
	entries, err := os.ReadDir(paths.Networks())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := Networks{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if _, err := container.ParseNetwork(name); !ok || err != nil {
			continue
		}
		n, err := readNetwork(paths, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just gone
		} else if err != nil {
			return nil, err
		}
		out[name] = n
	}
	return out, nil
}

// WriteNetwork keeps a network.
func WriteNetwork(paths state.Paths, n Network) error {
	if err := os.MkdirAll(paths.Networks(), 0o700); err != nil {
		return err
	}
	return state.WriteJSON(paths.Network(n.Name), n)
}

// RemoveNetwork forgets a network. That there is none is no error.
func RemoveNetwork(paths state.Paths, name string) error {
	return state.RemoveFile(paths.Network(name))
}

// HasNetworks reports whether anything is kept of any network.
func HasNetworks(paths state.Paths) bool {
	entries, _ := os.ReadDir(paths.Networks())
	return len(entries) > 0
}

// SweepNetworks removes what processes that were killed have left among the
// networks. Nobody writes one meanwhile.
func SweepNetworks(paths state.Paths) error { return removeHalves(paths.Networks()) }

// Want is what is wanted of one network.
type Want struct {
	Name   string
	Owner  container.Owner // empty: it is made on demand
	Bridge string
	Spec   container.NetworkSpec
}

// Route is a range of addresses that the machine uses, and on which interface.
type Route struct {
	netip.Prefix
	Link string
}

// Resolve is the network that w wants: with the subnets that w names, or else
// those that it has, or else some that are free on this machine. others are
// the other networks of berth. It draws on random where it chooses.
func (w Want) Resolve(have *Network, others Networks, routes []Route, random func() uint64) (Network, error) {
	n := Network{Name: w.Name, Owner: w.Owner, Bridge: w.Bridge, NAT: w.Spec.NAT, Isolated: w.Spec.Isolated, DHCP: w.Spec.DHCP}
	if have == nil {
		have = &Network{}
	}
	t := taken{routes: routes, own: []string{w.Bridge, have.Bridge}}
	for _, o := range others {
		if o.Name != w.Name {
			t.others = append(t.others, o)
		}
	}
	var err4, err6 error
	n.Subnet, err4 = t.subnet(w, w.Spec.Subnet, have.Subnet, func() netip.Prefix { return t.free4(w.Name, random) })
	n.Subnet6, err6 = t.subnet(w, w.Spec.Subnet6, have.Subnet6, func() netip.Prefix { return t.free6(random) })
	return n, errors.Join(err4, err6)
}

// taken is what a new subnet must not overlap.
type taken struct {
	routes []Route
	own    []string // bridges whose routes are the network's own
	others []Network
}

func (t taken) subnet(w Want, want container.Subnet, have netip.Prefix, choose func() netip.Prefix) (netip.Prefix, error) {
	switch {
	case want.None:
		return netip.Prefix{}, nil
	case want.Prefix.IsValid():
		if by := t.by(want.Prefix); by != "" && want.Prefix != have {
			return netip.Prefix{}, &container.Error{Op: "network", Subject: w.Name, Err: fmt.Errorf("%v overlaps %s", want.Prefix, by),
				Hint: "choose another subnet, or leave the key out for one that is free"}
		}
		return want.Prefix, nil
	case have.IsValid():
		return have, nil
	}
	p := choose()
	if !p.IsValid() {
		return p, &container.Error{Op: "network", Subject: w.Name, Err: errors.New("no subnet of private addresses is free on this machine"),
			Hint: "name one with the key subnet"}
	}
	return p, nil
}

// The lengths of routes that are as wide as a default route: they lead
// everywhere, and leave no subnet free if they count.
const wide4, wide6 = 8, 32

// by says who uses addresses of p; "" if nobody does.
func (t taken) by(p netip.Prefix) string {
	for _, o := range t.others {
		if o.Subnet.IsValid() && o.Subnet.Overlaps(p) || o.Subnet6.IsValid() && o.Subnet6.Overlaps(p) {
			return "those of the network " + o.Name
		}
	}
	for _, r := range t.routes {
		wide := wide4
		if r.Addr().Is6() {
			wide = wide6
		}
		if r.Bits() < wide || !r.Overlaps(p) || r.Link != "" && (r.Link == t.own[0] || r.Link == t.own[1]) {
			continue
		}
		if r.Link == "" {
			return fmt.Sprintf("the machine's route to %v", r.Prefix)
		}
		return fmt.Sprintf("%v, which the machine has on %s", r.Prefix, r.Link)
	}
	return ""
}

// privateRanges are of RFC 1918, the widest first.
var privateRanges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}

// free4 looks for a free subnet from a random place on: of 4094 addresses for
// the default network, of 254 for another.
func (t taken) free4(name string, random func() uint64) netip.Prefix {
	bits := 24
	if name == container.DefaultNetwork {
		bits = 20
	}
	for _, r := range privateRanges {
		slots := uint64(1) << (bits - r.Bits())
		first := random() % slots
		for i := range slots {
			p := netip.PrefixFrom(plus(r.Addr(), (first+i)%slots<<(32-bits)), bits)
			if t.by(p) == "" {
				return p
			}
		}
	}
	return netip.Prefix{}
}

// free6 is a random unique local prefix (RFC 4193) with a random subnet of it.
func (t taken) free6(random func() uint64) netip.Prefix {
	for range 100 {
		var a [16]byte
		a[0] = 0xfd
		for i, r := 1, random(); i < 8; i, r = i+1, r>>8 {
			a[i] = byte(r)
		}
		if p := netip.PrefixFrom(netip.AddrFrom16(a), 64); t.by(p) == "" {
			return p
		}
	}
	return netip.Prefix{}
}

// plus is the address n beyond a.
func plus(a netip.Addr, n uint64) netip.Addr {
	b := a.As16()
	for i := 15; i >= 0 && n > 0; i-- {
		n += uint64(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	sum := netip.AddrFrom16(b)
	if a.Is4() {
		return sum.Unmap()
	}
	return sum
}
