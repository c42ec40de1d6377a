package main

import (
	"context"
	"errors"
	"fmt"
)

// measureNetworked gives the row of many starts at once with networks.
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
	l.say("make %d containers with a network and %d without", fleetSize, fleetSize)
	err = errors.Join(l.makeContainers(ctx, "net", fleetSize, t, "privateNetwork=true"), l.makeContainers(ctx, "plain", fleetSize, t))
	if err != nil {
		return nil, err
	}
	s, err := interleave(ctx, l.n, l.startAll("net*"), l.startAll("plain*"))
	if err != nil {
		return nil, err
	}
	return []row{{What: fmt.Sprintf("start %d containers with networks, against %d without; all are ready", fleetSize, fleetSize), Berth: s[0][0], Peer: s[1][0], Ratio: 1.15,
		Notes: []string{"with networks: privateNetwork, on the default network, with names; without: on the host's network, which is the bench's own"}}}, nil
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
