package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-containers/berth/internal/network"
)

// others is how many guests have a network while that of one more is measured.
const others = 49

const noteSetup = "set-up: a veth to a bridge that is there, with a name, a MAC address, a mark, two addresses and routes, and one port of the host, IPv4 and IPv6, beside 49 other guests; " +
	"guests are network namespaces in which nothing runs. berth's is the function that its supervisors call, with lock, lease, settings of the kernel and all that is looked up before, which the peers do not do"

// measureSetup gives the rows of the network of one guest.
func measureSetup(ctx context.Context, l *lab) (rows []row, err error) {
	h, err := l.newHost(ctx, "setup")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	for i := range others {
		if _, err := h.attach(ctx, lease(i, port(uint16(10000+i)))); err != nil {
			return nil, err
		}
	}
	is := lease(others, port(8080))
	c, err := l.newCommands(ctx, h, is)
	if err != nil {
		return nil, err
	}
	nv, err := l.newNetavark(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, nv.close()) }()
	theirs, err := nv.fill(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closePlaces(theirs)) }()
	own := setup{h.place,
		func(g *place) error { return network.Attach(ctx, h.paths, is, g.file) },
		func(*place) error { return network.Detach(ctx, h.paths, is.Name) }}
	down := func(g *place) error { return c.takeDown(ctx, g) }
	options, err := nv.write(nv.options(others, 8080))
	if err != nil {
		return nil, err
	}
	podman := setup{nv.host,
		func(g *place) error { return nv.do(ctx, "setup", g, options) },
		func(g *place) error { return nv.do(ctx, "teardown", g, options) }}
	s, err := interleave(ctx, spread*l.n, own.trial,
		setup{h.place, func(g *place) error { return c.single(ctx, g) }, down}.trial,
		setup{h.place, func(g *place) error { return c.batched(ctx, g) }, down}.trial, podman.trial)
	if err != nil {
		return nil, err
	}
	one, few, other := s[1], s[2], s[3]
	noteOther := "netavark: " + nv.version() + " of Debian " + netavarkSuite + ", with nftables and without its DNS; it tears down with the guest's interfaces still there, as berth does here"
	noteFew := "as few commands as can be: two `ip -batch` and one `nft -f` to set up, one `ip` and one `nft -f` to take down; else `ip` is run for each step"
	return []row{
		{What: "network of a guest, up and down, against ip and nft", Berth: s[0][2], Peer: one[2], Ratio: 0.5, Notes: []string{noteSetup}},
		{What: "network of a guest, up and down, against as few ip and nft as can be", Berth: s[0][2], Peer: few[2], Notes: []string{noteFew}},
		{What: "network of a guest, up and down, against netavark", Berth: s[0][2], Peer: other[2], Ratio: 1, Notes: []string{noteOther}},
		{What: "network of a guest, up, against ip and nft", Berth: s[0][0], Peer: one[0]},
		{What: "network of a guest, up, against netavark", Berth: s[0][0], Peer: other[0]},
	}, nil
}

// port is one of the host that a guest answers on its port 80.
func port(n uint16) network.Port { return network.Port{Protocol: "tcp", First: n, Last: n, To: 80} }

// fill has netavark set up as many guests as berth has, and gives these.
func (n *netavark) fill(ctx context.Context) (all []*place, err error) {
	if all, err = newPlaces(ctx, others); err != nil {
		return nil, err
	}
	for i, g := range all {
		file, err := n.write(n.options(i, uint16(10000+i)))
		if err == nil {
			err = n.do(ctx, "setup", g, file)
		}
		if err != nil {
			return nil, errors.Join(err, closePlaces(all))
		}
	}
	return all, nil
}

// setup is one way to give a guest its network on a host, and to take it away.
type setup struct {
	host     *place
	up, down func(guest *place) error
}

// pause lets what closes beside the last trial come to its end.
const pause = 100 * time.Millisecond

// trial gives the times of both, and their sum.
func (s setup) trial(ctx context.Context) ([]float64, error) {
	guest, err := newPlace(ctx)
	if err != nil {
		return nil, err
	}
	defer guest.close()
	time.Sleep(pause)
	var up, down time.Duration
	err = s.host.do(func() error {
		begun := time.Now()
		if err := s.up(guest); err != nil {
			return fmt.Errorf("set up a network: %w", err)
		}
		up = time.Since(begun)
		time.Sleep(pause)
		begun = time.Now()
		err := s.down(guest)
		down = time.Since(begun)
		return err
	})
	return []float64{ms(up), ms(down), ms(up + down)}, err
}
