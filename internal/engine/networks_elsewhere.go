package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/survey"
)

// listenNotes tell which ports of the host a guest is to have at addresses that
// the host does not have. It may come to have them, as one that it shares with
// another machine, or that of a link which is not up yet.
func listenNotes(s container.Spec, networks network.Networks, a around) ([]string, error) {
	if len(s.ForwardPorts) == 0 && len(s.ExtraVeths) == 0 {
		return nil, nil
	}
	f, err := a.ground()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, address := range elsewhere(s, networks, f) {
		out = append(out, fmt.Sprintf("forwardPorts: the host does not have the address %v now: ports there answer once it does", address))
	}
	return out, nil
}

// ingressNotes tell who else has the ports at which the host is to answer for a
// spec's names: it tries until they are free.
func ingressNotes(s container.Spec, a around) ([]string, error) {
	if len(s.Ingress) == 0 {
		return nil, nil
	}
	by, err := a.front()
	return held(s.Ingress, by), err
}

func held(names []container.Ingress, by map[uint16]string) []string {
	secure := slices.ContainsFunc(names, func(i container.Ingress) bool { return i.TLS != container.TLSOff })
	var out []string
	for _, port := range []uint16{container.IngressHTTP, container.IngressHTTPS} {
		if by[port] != "" && (secure || port == container.IngressHTTP) {
			out = append(out, fmt.Sprintf("ingress: tcp port %d of the host is in use by %s: the host answers for the names once it is free", port, by[port]))
		}
	}
	return out
}

// holders say who has which of some tcp ports of the machine.
func holders(list []survey.Listener, ports ...uint16) map[uint16]string {
	out := map[uint16]string{}
	for _, port := range ports {
		i := slices.IndexFunc(list, func(l survey.Listener) bool { return l.Protocol == "tcp" && l.Address.Port() == port })
		if i >= 0 {
			out[port] = cmp.Or(list[i].Holder(), "a process that cannot be seen from here")
		}
	}
	return out
}

// elsewhere are the addresses at which a spec has ports of the host, and that
// are neither the host's own nor will be those of its side of a link.
func elsewhere(s container.Spec, networks network.Networks, f network.Facts) []netip.Addr {
	ports, sides := slices.Clone(s.ForwardPorts), []string{s.HostAddress, s.HostAddress6}
	for _, v := range s.ExtraVeths {
		ports, sides = append(ports, v.ForwardPorts...), append(sides, v.HostAddress, v.HostAddress6)
	}
	side := func(a netip.Addr) bool {
		for _, n := range networks {
			if slices.ContainsFunc(n.Gateways(), func(p netip.Prefix) bool { return p.Addr() == a }) {
				return true
			}
		}
		return slices.ContainsFunc(sides, func(text string) bool {
			address, _, _ := strings.Cut(text, "/")
			return address == a.String()
		})
	}
	var out []netip.Addr
	for _, p := range ports {
		a, err := netip.ParseAddr(p.HostAddress)
		if err != nil || a.IsUnspecified() || f.Answers(a) || side(a) || slices.Contains(out, a) {
			continue
		}
		out = append(out, a)
	}
	return out
}
