package main

import (
	"context"
	"errors"
)

const noteGate = "gate: `berth start` of a guest on the default network, less that of one with `networks: [none]` in the same round, which has a network namespace and no gate: " +
	"so it has the first process's way to its network and back, all that is set up for it, and the answer. Another guest runs on the network all the time, and `berth names` with it. " +
	"A guest takes some 30 ms more or less each time, so that single differences say little"

// measureGate gives the row of what it costs a guest to wait for its network.
func measureGate(ctx context.Context, l *lab) (rows []row, err error) {
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
	if err := errors.Join(l.makeContainers(ctx, "gated", 2, t, "privateNetwork=true"), l.makeContainers(ctx, "alone", 1, t, "privateNetwork=true", "networks=[none]")); err != nil {
		return nil, err
	}
	if _, _, err := l.run(ctx, "start", "gated1"); err != nil {
		return nil, err
	}
	s, err := interleave(ctx, spread*l.n, l.berthCycle("gated0"), l.berthCycle("alone0"))
	if err != nil {
		return nil, err
	}
	var gate samples
	for i, took := range s[0][0] {
		gate = append(gate, took-s[1][0][i])
	}
	return []row{
		{What: "gate: what waiting for its network adds to the start of a guest", Berth: gate, Absolute: 10, Notes: []string{noteGate}},
		{What: "start to ready with a network, against none", Berth: s[0][0], Peer: s[1][0]},
		{What: "stop with a network, against none", Berth: s[0][1], Peer: s[1][1]},
	}, nil
}
