package main

import (
	"context"
	"fmt"

	"github.com/berth-containers/berth/container"
)

const (
	noteMachine = "machinectl start: `machinectl start` of a plain copy of the image whose owners are shifted already, by systemd-nspawn@.service " +
		"with NotifyReady=yes and the same namespaces, from the start of the command to its end; stopped by `systemctl stop`"
	noteList = "machinectl list and status, and systemd-run: on berth's own guest, which systemd-machined knows; machinectl status shows its last lines of the journal too, " +
		"and does not with --lines=0"
)

// measureMachinectl gives the rows of what one does with a container where
// systemd is PID 1.
func measureMachinectl(ctx context.Context, l *lab) ([]row, error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.makeContainers(ctx, "start", 1, t); err != nil {
		return nil, err
	}
	peer, err := l.copyMachine(ctx, t)
	if err != nil {
		return nil, err
	}
	s, err := interleave(ctx, spread*l.n, l.berthCycle("start0"), peer.cycle)
	if err != nil {
		return nil, err
	}
	rows := []row{
		{What: "systemd: start to ready, against machinectl start", Berth: s[0][0], Peer: s[1][0], Ratio: 1.10, Notes: []string{noteMachine}},
		{What: "systemd: stop, against systemctl stop", Berth: s[0][1], Peer: s[1][1]},
	}
	if _, _, err := l.run(ctx, "start", "start0"); err != nil {
		return rows, err
	}
	leader, err := l.leader(ctx, "start0")
	if err != nil {
		return rows, err
	}
	if err := l.settle(ctx, leader); err != nil {
		return rows, err
	}
	seen, err := l.looks(ctx, "start0", "one container")
	if err != nil {
		return rows, err
	}
	rows = append(rows, seen...)
	s, err = interleave(ctx, short*l.n,
		l.timedTrial(l.options.berth, "--root", l.paths.Root, "exec", "start0", "--", "true"),
		l.timedTrial("systemd-run", "--quiet", "--machine="+l.machineName("start0"), "--wait", "--pipe", "/bin/true"))
	if err != nil {
		return rows, err
	}
	return append(rows, row{What: "systemd: exec true, against systemd-run -M --wait --pipe", Berth: s[0][0], Peer: s[1][0], Ratio: 1, Notes: []string{noteList}}), nil
}

// machineName is how systemd-machined calls a container of the lab.
func (l *lab) machineName(n container.Name) string { return l.paths.Machine(n) }

// looks gives the rows of looking at all containers, and at one of them that
// runs.
func (l *lab) looks(ctx context.Context, name, among string) ([]row, error) {
	own := func(args ...string) trial {
		return l.timedTrial(l.options.berth, append([]string{"--root", l.paths.Root}, args...)...)
	}
	machine := l.machineName(container.Name(name))
	s, err := interleave(ctx, short*l.n, own("ls"), l.timedTrial("machinectl", "list", "--no-pager"),
		own("status", name), l.timedTrial("machinectl", "status", "--no-pager", machine),
		l.timedTrial("machinectl", "status", "--no-pager", "--lines=0", machine))
	if err != nil {
		return nil, err
	}
	what := func(cmd string) string { return fmt.Sprintf("systemd: %s with %s running", cmd, among) }
	return []row{
		{What: what("ls, against machinectl list,"), Berth: s[0][0], Peer: s[1][0], Ratio: 1, Notes: []string{noteList}},
		{What: what("status, against machinectl status,"), Berth: s[2][0], Peer: s[3][0], Ratio: 1},
		{What: what("status, against machinectl status --lines=0,"), Berth: s[2][0], Peer: s[4][0]},
	}, nil
}
