package main

import "context"

const (
	noteCopy = "bare copy: systemd-nspawn with the arguments, environment, cgroups and device rules that berth gives it, on a plain copy of the image whose owners are shifted already; " +
		"from its exec to READY=1, and from the signal to its guest's init until it has ended"
	noteOverlay = "bare overlay: the same on an overlay that was put together, in its own mount namespace, before the time counts, and which the kernel syncs and takes apart when systemd-nspawn ends, as berth's: the same root; the difference to berth is what its commands and its shim take"
)

// spread is how many times as often starts and stops are measured than other
// things: a guest takes some 30 ms more or less each time.
const spread = 3

// measureStart gives the rows of starts and stops.
func measureStart(ctx context.Context, l *lab) ([]row, error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.makeContainers(ctx, "start", 1, t); err != nil {
		return nil, err
	}
	plain, err := l.newCopy(ctx, t)
	if err != nil {
		return nil, err
	}
	overlay, err := l.newOverlay(t.rootfs)
	if err != nil {
		return nil, err
	}
	s, err := interleave(ctx, spread*l.n, l.berthCycle("start0"), plain.cycle, overlay.cycle)
	if err != nil {
		return nil, err
	}
	own, copied, mounted := s[0], s[1], s[2]
	return []row{
		{What: "start to ready, against bare copy", Berth: own[0], Peer: copied[0], Ratio: 1.10, Notes: []string{noteCopy}},
		{What: "start to ready, against bare overlay", Berth: own[0], Peer: mounted[0], Ratio: 1.10, Notes: []string{noteOverlay}},
		{What: "stop, against bare copy", Berth: own[1], Peer: copied[1], Ratio: 1.10},
		{What: "stop, against bare overlay", Berth: own[1], Peer: mounted[1], Ratio: 1.10},
	}, nil
}
