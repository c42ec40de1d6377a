package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/survey"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// WantedNetwork is a network that a declaration has.
type WantedNetwork struct {
	Name  string
	Owner container.Owner
	Spec  container.NetworkSpec
}

// Settings are those of the host: none where it has no file of them.
func (e *Engine) Settings() (declare.Settings, error) {
	path := filepath.Join(e.Paths.Config(), "berth.yaml")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return declare.Settings{}, nil
	} else if err != nil {
		return declare.Settings{}, err
	}
	defer f.Close()
	return declare.ParseSettings(f, path)
}

// want is a network as it is wanted: the default one as the host's settings
// say. Nobody chooses addresses of IPv6 for a kernel that has none.
func (e *Engine) want(n WantedNetwork) (network.Want, error) {
	w := network.Want{Name: n.Name, Owner: n.Owner, Bridge: network.BridgeName(e.Paths, n.Name), Spec: n.Spec}
	if n.Name == container.DefaultNetwork {
		s, err := e.Settings()
		if err != nil {
			return w, err
		}
		w.Spec.Subnet, w.Spec.Subnet6 = s.Network.Subnet, s.Network.Subnet6
		if s.Network.Bridge != "" {
			w.Bridge = s.Network.Bridge
		}
	}
	if !w.Spec.Subnet6.Prefix.IsValid() && !e.probe.HasIPv6() {
		w.Spec.Subnet6.None = true
	}
	return w, nil
}

// onDemand is a network that nobody has declared.
func onDemand(name string) WantedNetwork {
	return WantedNetwork{Name: name, Spec: container.DefaultNetworkSpec()}
}

// resolve gives a network the subnets that it lacks.
func (e *Engine) resolve(n WantedNetwork, all network.Networks) (network.Network, error) {
	w, err := e.want(n)
	if err != nil {
		return network.Network{}, err
	}
	ranges, err := ranges()
	if err != nil {
		return network.Network{}, err
	}
	var have *network.Network
	if h, ok := all[n.Name]; ok {
		have = &h
	}
	return w.Resolve(have, all, ranges, random)
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// ranges are the addresses that this machine uses.
func ranges() ([]network.Route, error) {
	m, err := survey.Open()
	if err != nil {
		return nil, err
	}
	defer m.Close()
	list, err := m.Ranges()
	var out []network.Route
	for _, r := range list {
		out = append(out, network.Route(r))
	}
	return out, err
}

// demanded adds to all the networks that a spec needs and that are made on
// demand.
func (e *Engine) demanded(s container.Spec, all network.Networks) (made []network.Network, err error) {
	for _, name := range s.BerthNetworks() {
		if _, ok := all[name]; ok || name != container.DefaultNetwork && name != s.Zone {
			continue
		}
		n, err := e.resolve(onDemand(name), all)
		if err != nil {
			return nil, err
		}
		all[name], made = n, append(made, n)
	}
	return made, nil
}

// chooseLinks chooses what rec's interfaces have, and makes the networks that
// are made on demand. The lock for allocating is held, under which records were
// read.
func (e *Engine) chooseLinks(rec state.Record, records []state.Record) ([]state.Link, error) {
	if !rec.Spec.PrivateNetwork {
		return nil, nil
	}
	all, err := network.ReadNetworks(e.Paths)
	if err != nil {
		return nil, err
	}
	made, err := e.demanded(rec.Spec, all)
	for _, n := range made {
		err = errors.Join(err, network.WriteNetwork(e.Paths, n))
	}
	if err != nil {
		return nil, err
	}
	leases, err := network.ReadLeases(e.Paths)
	if err != nil {
		return nil, err
	}
	return network.Choose(e.Paths, rec, all, network.UsedBy(records, leases, rec.Name))
}

// allRecords are those of all containers that can be read, to work on.
func (e *Engine) allRecords() ([]state.Record, error) {
	names, err := e.Names()
	var out []state.Record
	for _, n := range names {
		if rec, err := e.record(n); err == nil {
			out = append(out, *rec)
		}
	}
	return out, err
}

// writeChosen writes a record with all that has to be chosen for it.
func (e *Engine) writeChosen(ctx context.Context, rec state.Record) error {
	return e.allocating(ctx, func() (err error) {
		var records []state.Record
		if rec.Spec.PrivateNetwork {
			records, err = e.allRecords()
		}
		if err != nil {
			return err
		}
		if rec.Links, err = e.chooseLinks(rec, records); err != nil {
			return err
		}
		return state.WriteRecord(e.Paths.Container(rec.Name), rec)
	})
}

// complete chooses again for a container whose networks have changed since, or
// that is of an older berth.
func (e *Engine) complete(ctx context.Context, rec *state.Record) error {
	if !rec.Spec.PrivateNetwork {
		return nil
	}
	all, err := network.ReadNetworks(e.Paths)
	if err != nil {
		return err
	}
	if network.Fits(*rec, all) {
		return nil
	}
	if err := e.writeChosen(ctx, *rec); err != nil {
		return err
	}
	next, err := e.record(rec.Name)
	if err == nil {
		*rec = *next
	}
	return err
}

// updateNetwork gives a running guest the ports and names of its spec.
func (e *Engine) updateNetwork(ctx context.Context, c plan.Wanted) error {
	lease, err := network.ReadLease(e.Paths, c.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	running, err := e.launched(c.Name)
	if err != nil || running == nil {
		return err
	}
	s := running.Spec
	s.ForwardPorts, s.Aliases, s.AllowHost, s.Ingress = c.Spec.ForwardPorts, c.Spec.Aliases, c.Spec.AllowHost, c.Spec.Ingress
	next, err := lease.With(s)
	if err != nil {
		return err
	}
	if err := network.Update(ctx, e.Paths, next); err != nil {
		return err
	}
	return e.supervisor.Serve(ctx)
}

// releasePorts has running guests give up the ports that the wish takes from them
// for others, who may come first.
func (e *Engine) releasePorts(ctx context.Context, w Wish) error {
	leases, err := network.ReadLeases(e.Paths)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if !w.has(l.Name) {
			continue
		}
		own := w.wanted(l.Name).Spec.ForwardPorts
		kept := slices.DeleteFunc(slices.Clone(l.Ports), func(p network.Port) bool {
			return !claimed(p, own) && slices.ContainsFunc(w.Containers, func(c plan.Wanted) bool { return claimed(p, c.Spec.ForwardPorts) })
		})
		if len(kept) == len(l.Ports) {
			continue
		}
		l.Ports = kept
		if err := network.Update(ctx, e.Paths, l); err != nil {
			return err
		}
	}
	return nil
}

// claimed reports whether a port of the host is among those of a spec.
func claimed(p network.Port, by []container.ForwardPort) bool {
	return slices.ContainsFunc(by, func(f container.ForwardPort) bool {
		return f.Protocol == p.Protocol && f.HostPort.First <= p.Last && p.First <= f.HostPort.Last
	})
}

// networkNotes are what an owner should know of a guest's network beforehand.
func networkNotes(s container.Spec) []string {
	var out []string
	users := hasRange(s) || s.PrivateUsers.Mode == container.UsersIdentity
	if first := unprivilegedPort(); !s.PrivateNetwork && s.NetworkNamespace == "" && users && first > 1 {
		out = append(out, fmt.Sprintf("on the host's network and with users of its own, the guest cannot listen on ports below %d: "+
			"set privateNetwork: true and forwardPorts, or privateUsers: no", first))
	}
	for _, a := range []string{s.LocalAddress, s.LocalAddress6} {
		if _, err := netip.ParseAddr(a); s.HostBridge != "" && err == nil {
			out = append(out, fmt.Sprintf("%s has no prefix length: on %s, the guest reaches its neighbours only by way of hostAddress", a, s.HostBridge))
		}
	}
	return out
}

// unprivilegedPort is the first port that needs no right of the host.
func unprivilegedPort() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	n, nerr := strconv.Atoi(string(slices.DeleteFunc(b, func(c byte) bool { return c == '\n' })))
	if err != nil || nerr != nil {
		return 1024
	}
	return n
}
