package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/survey"
	"github.com/berth-containers/berth/internal/state"
)

// leaseOf is what a container has of the network while it is attached, and
// what it would have on networks otherwise. running tells which.
func (e *Engine) leaseOf(rec *state.Record, networks func() (network.Networks, error)) (l network.Lease, running bool, err error) {
	l, err = network.ReadLease(e.Paths, rec.Name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return l, err == nil, err
	}
	if !rec.Spec.PrivateNetwork {
		return network.Lease{Name: rec.Name}, false, nil
	}
	all, err := networks()
	if err != nil {
		return l, false, err
	}
	if !network.Fits(*rec, all) { // it is chosen anew by the next start
		return network.Lease{Name: rec.Name}, false, nil
	}
	l, err = network.LeaseOf(e.Paths, rec, all)
	if err != nil { // that is told by what would start it
		l = network.Lease{Name: rec.Name}
	}
	return l, false, nil
}

// addNetwork tells of a container's network in its status.
func (e *Engine) addNetwork(s *container.Status, rec *state.Record, networks func() (network.Networks, error)) error {
	l, _, err := e.leaseOf(rec, networks)
	s.NetworkNamespace = rec.Spec.NetworkNamespace
	s.HostNetwork = !rec.Spec.PrivateNetwork && rec.Spec.NetworkNamespace == "" && len(l.Links) == 0
	for _, k := range l.Links {
		s.Links = append(s.Links, container.LinkStatus{Interface: k.Guest, Kind: string(k.Kind), Network: k.Network, Bridge: k.Bridge, Host: k.Host,
			MAC: string(k.MAC), Addresses: k.Addresses, Gateways: k.Gateways, DHCP: k.DHCP})
	}
	return err
}

// CountTraffic adds to a status what went over the guest's links, where they
// have a side on the host.
func (e *Engine) CountTraffic(s *container.Status) error {
	if len(s.Links) == 0 || !s.State.Alive() {
		return nil
	}
	m, err := survey.Open()
	if err != nil {
		return err
	}
	defer m.Close()
	for i := range s.Links {
		l := &s.Links[i]
		if l.Kind != string(network.Bridged) && l.Kind != string(network.Point) {
			continue
		}
		link, err := m.Interface(l.Host)
		if err != nil {
			return fmt.Errorf("look at the interface %s: %w", l.Host, err)
		}
		if link != nil { // what the host sends is what the guest gets
			l.Traffic = &container.Traffic{In: container.Count(link.Sent), Out: container.Count(link.Received)}
		}
	}
	return nil
}

// Ports are the ports of the host that a container answers, with what went
// through them where it runs.
func (e *Engine) Ports(n container.Name) ([]container.PortStatus, error) {
	rec, err := e.Record(n)
	if err != nil {
		return nil, err
	}
	l, running, err := e.leaseOf(rec, e.networks)
	if err != nil {
		return nil, err
	}
	out := []container.PortStatus{}
	for _, p := range l.Ports {
		out = append(out, container.PortStatus{Protocol: p.Protocol, Listen: p.Listen, Answers: p.Guest,
			Host: container.Ports{First: p.First, Last: p.Last}, Guest: container.Ports{First: p.To, Last: p.To + p.Last - p.First}})
	}
	if !running || len(out) == 0 {
		return out, nil
	}
	traffic, err := network.PortTraffic(e.Paths, n)
	for i, t := range traffic {
		if i < len(out) && l.Ports[i].First == t.Port.First && l.Ports[i].Protocol == t.Port.Protocol {
			out[i].Traffic = &container.Traffic{In: container.Count(t.In), Out: container.Count(t.Out)}
		}
	}
	return out, err
}

// networks are those that have been chosen.
func (e *Engine) networks() (network.Networks, error) { return network.ReadNetworks(e.Paths) }

// Networks are all networks of berth, by name.
func (e *Engine) Networks() ([]container.NetworkStatus, error) {
	all, err := network.ReadNetworks(e.Paths)
	if err != nil {
		return nil, err
	}
	members, err := e.members(all)
	if err != nil {
		return nil, err
	}
	out := []container.NetworkStatus{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n := all[name]
		guests := members[name]
		if guests == nil {
			guests = []container.NetworkMember{}
		}
		out = append(out, container.NetworkStatus{Name: n.Name, Owner: n.Owner, Bridge: n.Bridge, Subnet: n.Subnet, Subnet6: n.Subnet6,
			NAT: n.NAT, Isolated: n.Isolated, DHCP: n.DHCP, Guests: guests})
	}
	return out, nil
}

// members are the containers on each of all networks.
func (e *Engine) members(all network.Networks) (map[string][]container.NetworkMember, error) {
	records, err := e.allRecords()
	out := map[string][]container.NetworkMember{}
	for _, r := range records {
		l, running, err := e.leaseOf(&r, func() (network.Networks, error) { return all, nil })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		for _, k := range l.Links {
			if k.Network != "" {
				out[k.Network] = append(out[k.Network], container.NetworkMember{Name: r.Name, Running: running, Addresses: k.Addresses})
			}
		}
	}
	return out, err
}

// Network is one network of berth.
func (e *Engine) Network(name string) (container.NetworkStatus, error) {
	all, err := e.Networks()
	if err != nil {
		return container.NetworkStatus{}, err
	}
	for _, n := range all {
		if n.Name == name {
			return n, nil
		}
	}
	return container.NetworkStatus{}, &container.Error{Subject: name, Err: errors.New("no such network"), Code: container.CodeNotFound,
		Hint: "berth network ls shows the networks that there are"}
}
