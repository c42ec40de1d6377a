package main

import (
	"context"
	"errors"

	"github.com/berth-containers/berth/container"
)

const noteThroughput = "throughput: one TCP connection over IPv4 between two threads of the bench, for 0.4 s. The peers are veths without anything on their way, neither bridge nor rules; " +
	"for another machine they are two with a host that routes between them"

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
	places, err := newPlaces(ctx, 3)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closePlaces(places)) }()
	router, machine, guest := places[0], places[1], places[2]
	err = errors.Join(
		router.wire(ctx, "veth0", hostOutside+"/24", machine, machineOutside+"/24"),
		router.wire(ctx, "veth1", wireOne+"/24", guest, wireTwo+"/24"),
		router.run(ctx, "sysctl -qw net.ipv4.ip_forward=1"),
		machine.run(ctx, "ip route add default via "+hostOutside),
		guest.run(ctx, "ip route add default via "+wireOne))
	if err != nil {
		return nil, err
	}
	for _, p := range []*place{router, guest, w.host.place, w.guest} {
		s, err := p.serve(wirePort, sink)
		if err != nil {
			return nil, err
		}
		defer s.close()
	}
	own := address(benchSubnet, 0).Addr().String()
	l.say("measure %d rounds", l.n)
	s, err := interleave(ctx, l.n,
		w.host.stream(own+wirePort), router.stream(wireTwo+wirePort),
		w.guest.stream(benchSubnet.Addr().Next().String()+wirePort), guest.stream(wireOne+wirePort),
		w.host.stream(hostOutside+portedPort), w.machine.stream(hostOutside+portedPort), machine.stream(wireTwo+wirePort))
	if err != nil {
		return nil, err
	}
	gbit := func(what string, berth, peer samples) row {
		return row{What: what, Unit: "Gbit/s", Berth: berth, Peer: peer, Least: 0.95, Notes: []string{noteThroughput}}
	}
	return []row{
		gbit("throughput from the host to a guest, against a bare veth", s[0][0], s[1][0]),
		gbit("throughput from a guest to the host, against a bare veth", s[2][0], s[3][0]),
		gbit("throughput from the host through a forwarded port, against a bare veth", s[4][0], s[1][0]),
		gbit("throughput from another machine through a forwarded port, against bare veths and routing", s[5][0], s[6][0]),
	}, nil
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
	err = errors.Join(w.host.wire(ctx, "out0", hostOutside+"/24", w.machine, machineOutside+"/24"))
	if err != nil {
		return w, errors.Join(err, w.close(ctx))
	}
	return w, nil
}

func (w *wires) close(ctx context.Context) error {
	return errors.Join(w.host.close(ctx), w.machine.close())
}
