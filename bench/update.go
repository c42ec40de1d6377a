package main

import (
	"context"
	"fmt"

	"github.com/berth-containers/berth/test/mini-nixos"
)

const noteUpdate = "update: `berth set NAME system=PATH` of a running NixOS guest, from one of two systems to the other, until it has been healthy for 0.3 s. In place is its switch; " +
	"the peer is another guest, for which a variable of its init changes with the system, so that berth restarts it"

// measureUpdate gives the row of a guest that changes its system.
func measureUpdate(ctx context.Context, l *lab) ([]row, error) {
	systems, err := mininixos.Install(ctx, l.options.cache)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"inplace", "anew"} {
		if _, _, err := l.run(ctx, "create", name, "--system-path", systems.Systems["one"], "privateNetwork=true", "networks=[none]", "--start"); err != nil {
			return nil, err
		}
	}
	turn := func(name string, more func(n int) []string) trial {
		pair, n := []string{systems.Systems["one"], systems.Systems["two"]}, 0
		return func(ctx context.Context) ([]float64, error) {
			leader, err := l.leader(ctx, name)
			if err == nil {
				err = l.settle(ctx, leader)
			}
			if err == nil {
				err = rested(ctx)
			}
			if err != nil {
				return nil, err
			}
			n++
			_, took, err := l.run(ctx, append([]string{"set", "-y", name, "system=" + pair[n%2]}, more(n)...)...)
			return []float64{ms(took)}, err
		}
	}
	s, err := interleave(ctx, l.n, turn("inplace", func(int) []string { return nil }),
		turn("anew", func(n int) []string { return []string{fmt.Sprintf("environment.ROUND=%d", n)} }))
	if err != nil {
		return nil, err
	}
	return []row{{What: "update of a running NixOS guest in place, against a restart", Berth: s[0][0], Peer: s[1][0], Ratio: 1, Notes: []string{noteUpdate}}}, nil
}
