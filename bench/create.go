package main

import (
	"context"
	"errors"
	"fmt"
)

// measureCreate gives the rows of new containers of a big image.
func measureCreate(ctx context.Context, l *lab) ([]row, error) {
	t, err := l.bigTree(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.makeContainers(ctx, "old", 1, t); err != nil {
		return nil, err
	}
	l.say("copy the image for the peer")
	plain, err := l.newCopy(ctx, t)
	if err != nil {
		return nil, err
	}
	ephemeral := l.newEphemeral(plain)
	l.say("measure %d rounds", l.n)
	s, err := interleave(ctx, l.n, l.createCycle(t), l.berthCycle("old0"), ephemeral.cycle)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("create and start: one command, `berth create NAME --image tar:FILE --start`, of an image of %d MB; the guest's first boot. "+
		"The peer copies a tree of the same size, on the same file system, that has been booted before", t.size>>20)
	return []row{
		{What: "create and start, against nspawn --ephemeral", Berth: s[0][0], Peer: s[2][0], Ratio: 1.0 / 8, Notes: []string{note}},
		{What: "create and start, against berth start of an existing one", Berth: s[0][0], Peer: s[1][0], Ratio: 1.2},
	}, nil
}

// createCycle makes and starts a container, gives the time, and removes it.
func (l *lab) createCycle(t *tree) trial {
	return func(ctx context.Context) ([]float64, error) {
		_, took, err := l.run(ctx, "create", "new", "--image", t.ref, "--start")
		if err != nil {
			return nil, err
		}
		leader, err := l.leader(ctx, "new")
		if err == nil {
			err = l.settle(ctx, leader)
		}
		_, _, destroyed := l.run(ctx, "destroy", "--yes", "new")
		return []float64{ms(took)}, errors.Join(err, destroyed)
	}
}
