package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
)

const noteThroughput = "throughput: one TCP connection over IPv4 between two threads of the bench, each on a processor of its own, for 0.1 s, without pacing. The peers are veths without anything on their way, neither bridge nor rules; " +
	"for another machine they are two with a host that routes between them. " +
	"On a bridge: the same with a bridge and without rules. What passes a bridge is not shown to the rules for IP (bridge-nf-call-iptables), as on hosts without Docker, but where it is said"

// Addresses of the network outside, and of the peers' veths.
const (
	hostOutside    = "192.0.2.1"
	machineOutside = "192.0.2.2"
	wireOne        = "198.51.100.1"
	wireTwo        = "198.51.100.2"
	wirePort       = ":5001"
)

// measureThroughput gives the rows of what goes through a network.
func measureThroughput(ctx context.Context, l *lab) (rows []row, err error) {
	w, err := l.newWires(ctx, "throughput", 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	shown, err := l.newWires(ctx, "shown", 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, shown.close(ctx)) }()
	alone, err := w.host.attach(ctx, point())
	if err != nil {
		return nil, err
	}
	places, err := newPlaces(ctx, 5)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closePlaces(places)) }()
	router, machine, guest, bridged, port := places[0], places[1], places[2], places[3], places[4]
	if err := errors.Join(routed(ctx, router, machine, guest), onBridge(ctx, bridged, port),
		bridged.show("0"), w.host.show("0"), shown.host.show("1")); err != nil {
		return nil, err
	}
	for _, p := range []*place{router, guest, port, w.host.place, w.guest, shown.host.place, alone} {
		s, err := p.serve(wirePort, sink)
		if err != nil {
			return nil, err
		}
		defer s.close()
	}
	l.say("measure %d rounds", streams*l.n)
	s, err := interleave(ctx, streams*l.n,
		router.stream(wireTwo+wirePort), guest.stream(wireOne+wirePort), machine.stream(wireTwo+wirePort), bridged.stream(wireTwo+wirePort),
		w.host.stream(address(benchSubnet, 0).Addr().String()+wirePort), w.guest.stream(benchSubnet.Addr().Next().String()+wirePort),
		w.host.stream(hostOutside+portedPort), w.machine.stream(hostOutside+portedPort),
		w.host.stream(point().Links[0].Addresses[0].Addr().String()+wirePort), shown.guest.stream(benchSubnet.Addr().Next().String()+wirePort))
	if err != nil {
		return nil, err
	}
	to, from, far, bridge := s[0][0], s[1][0], s[2][0], s[3][0]
	gbit := func(what string, berth, peer samples) row {
		return row{What: "throughput " + what, Unit: "Gbit/s", Berth: berth, Peer: peer, Least: 0.95, Notes: []string{noteThroughput}}
	}
	other, others := gbit("from the host to a guest, against a bare veth on a bridge", s[4][0], bridge), gbit("from a guest to the host, shown to the rules for IP too, against a bare veth", s[9][0], from)
	other.Least, others.Least = 0, 0
	return []row{
		gbit("from the host to a guest, against a bare veth", s[4][0], to),
		gbit("from a guest to the host, against a bare veth", s[5][0], from),
		gbit("from the host through a forwarded port, against a bare veth", s[6][0], to),
		gbit("from another machine through a forwarded port, against bare veths and routing", s[7][0], far),
		gbit("from the host to a guest on a link of its own, against a bare veth", s[8][0], to),
		other, others,
	}, nil
}

// show has what passes bridges of p shown to the rules for IP, or not. A kernel that
// does not know the setting shows nothing.
func (p *place) show(on string) error {
	err := p.do(func() error { return os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte(on), 0) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// point is what a guest on a link of its own has.
func point() network.Lease {
	return network.Lease{Name: "point", Machine: "point", Links: []network.Link{{
		Kind: network.Point, Host: "ve-point", Guest: "eth0",
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.98.0.2/32")}, HostAddresses: []netip.Prefix{netip.MustParsePrefix("10.98.0.1/32")},
		Gateways: []netip.Addr{netip.MustParseAddr("10.98.0.1")},
	}}}
}

// routed makes a peer of two veths, between which router routes.
func routed(ctx context.Context, router, machine, guest *place) error {
	return errors.Join(
		router.wire(ctx, "veth0", hostOutside+"/24", machine, machineOutside+"/24"),
		router.wire(ctx, "veth1", wireOne+"/24", guest, wireTwo+"/24"),
		router.run(ctx, "sysctl -qw net.ipv4.ip_forward=1"),
		machine.run(ctx, "ip route add default via "+hostOutside),
		guest.run(ctx, "ip route add default via "+wireOne))
}

// onBridge makes a peer of a veth on a bridge without rules.
func onBridge(ctx context.Context, host, guest *place) error {
	return errors.Join(
		host.wire(ctx, "veth0", "192.0.2.9/32", guest, wireTwo+"/24"),
		host.run(ctx, "ip link add bridge0 type bridge", "ip link set bridge0 up", "ip addr add "+wireOne+"/24 dev bridge0", "ip link set veth0 master bridge0"))
}

// wires is a host with one guest that answers ports, and another machine that
// reaches the host.
type wires struct {
	host           *netHost
	guest, machine *place
}

// portedPort is the first port of the host that leads to the guest's wirePort.
const portedPort = ":20000"

// newWires makes one, with so many ports.
func (l *lab) newWires(ctx context.Context, name string, ports uint16) (w *wires, err error) {
	w = &wires{}
	if w.host, err = l.newHost(ctx, name); err != nil {
		return nil, err
	}
	p := port(20000)
	p.Last, p.To = 20000+ports-1, 5001
	is := lease(0, p)
	is.AllowHost = []container.HostPort{{Protocol: "tcp", First: 5001, Last: 5001}}
	if w.guest, err = w.host.attach(ctx, is); err != nil {
		return w, errors.Join(err, w.host.close(ctx))
	}
	if w.machine, err = newPlace(ctx); err != nil {
		return w, errors.Join(err, w.host.close(ctx))
	}
	if err = w.host.wire(ctx, "out0", hostOutside+"/24", w.machine, machineOutside+"/24"); err != nil {
		return w, errors.Join(err, w.close(ctx))
	}
	return w, nil
}

func (w *wires) close(ctx context.Context) error {
	return errors.Join(w.host.close(ctx), w.machine.close())
}
