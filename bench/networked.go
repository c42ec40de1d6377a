package main

import (
	"context"
	"errors"
	"fmt"
)

// measureNetworked gives the rows of many starts at once with networks.
func measureNetworked(ctx context.Context, l *lab) (rows []row, err error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	if l.host, err = newPlace(ctx); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, l.reset(ctx), l.host.close())
		l.host = nil
	}()
	if err := ownNames(l.paths); err != nil {
		return nil, err
	}
	l.say("make %d containers with a network, %d without, and %d on the host's", fleetSize, fleetSize, fleetSize)
	err = errors.Join(l.makeContainers(ctx, "net", fleetSize, t, "privateNetwork=true"),
		l.makeContainers(ctx, "alone", fleetSize, t, "privateNetwork=true", "networks=[none]"), l.makeContainers(ctx, "plain", fleetSize, t))
	if err != nil {
		return nil, err
	}
	s, err := interleave(ctx, l.n, l.startAll("net*"), l.startAll("alone*"), l.startAll("plain*"))
	if err != nil {
		return nil, err
	}
	networked, alone, plain := s[0][0], s[1][0], s[2][0]
	note := "with networks: privateNetwork, on the default network, with names; without: `networks: [none]`, a network namespace with nothing but its loopback; on the host's network, which is the bench's own: without a network namespace"
	return []row{
		{What: fmt.Sprintf("start %d containers with networks, against %d without; all are ready", fleetSize, fleetSize), Berth: networked, Peer: alone, Ratio: 1.15, Notes: []string{note}},
		{What: fmt.Sprintf("start %d containers with networks, against %d on the host's", fleetSize, fleetSize), Berth: networked, Peer: plain, Ratio: 1.15},
		{What: fmt.Sprintf("start %d containers with network namespaces, against %d on the host's network", fleetSize, fleetSize), Berth: alone, Peer: plain},
	}, nil
}

// startAll starts the containers that a pattern means, gives the time, and
// stops them.
func (l *lab) startAll(pattern string) trial {
	return func(ctx context.Context) ([]float64, error) {
		if err := rested(ctx); err != nil {
			return nil, err
		}
		_, took, err := l.run(ctx, "start", pattern)
		if err == nil {
			err = l.allRun(ctx, fleetSize)
		}
		_, _, stopped := l.run(ctx, "stop", "--all")
		l.say("%s: %.0f ms", pattern, ms(took))
		return []float64{ms(took)}, errors.Join(err, stopped)
	}
}
