package main

import (
	"context"
	"fmt"
	"time"
)

// short is how many times as often things are measured that take milliseconds.
const short = 5

// machinectlShell is the median time of `machinectl shell NAME /bin/true` in
// milliseconds, measured once on a Debian 12 host with machined.
const machinectlShell = 29

// measureExec gives the rows of programs in guests.
func measureExec(ctx context.Context, l *lab) ([]row, error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.makeContainers(ctx, "exec", 1, t); err != nil {
		return nil, err
	}
	if _, _, err := l.run(ctx, "start", "exec0"); err != nil {
		return nil, err
	}
	leader, err := l.leader(ctx, "exec0")
	if err != nil {
		return nil, err
	}
	if err := l.settle(ctx, leader); err != nil {
		return nil, err
	}
	own := l.timedTrial(l.options.berth, "--root", l.paths.Root, "exec", "exec0", "--", "true")
	peer := l.timedTrial("nsenter", "-t", fmt.Sprint(leader), "-a", "true")
	s, err := interleave(ctx, short*l.n, own, peer)
	if err != nil {
		return nil, err
	}
	quiet, err := interleave(ctx, l.n, afterQuiet(own), afterQuiet(peer))
	if err != nil {
		return nil, err
	}
	return []row{
		{What: "exec true, against nsenter", Berth: s[0][0], Peer: s[1][0], Ratio: 3, Notes: []string{
			"nsenter: `nsenter -t LEADER -a true`, which joins no cgroup, takes no care of the guest's capabilities, and lets the program live on when it is killed"}},
		{What: "exec true after a quiet moment, against nsenter", Berth: quiet[0][0], Peer: quiet[1][0], Notes: []string{
			"after a quiet moment: nothing was started for 300 ms; the kernel moves a process to another cgroup faster when it has just moved one"}},
		{What: "exec true, against machinectl shell", Berth: s[0][0], Peer: samples{machinectlShell}, Quoted: "not measured here", Ratio: 1, Notes: []string{
			"machinectl shell needs machined, which a host without systemd does not have: its figure was measured once elsewhere, on Debian 12 with systemd 252, and is quoted"}},
	}, nil
}

// quietTime is long enough for the kernel to forget that it moved a process
// between cgroups.
const quietTime = 300 * time.Millisecond

// afterQuiet lets nothing happen before the trial.
func afterQuiet(f trial) trial {
	return func(ctx context.Context) ([]float64, error) {
		select {
		case <-time.After(quietTime):
			return f(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// timedTrial measures how long a program takes.
func (l *lab) timedTrial(program string, args ...string) trial {
	return func(ctx context.Context) ([]float64, error) {
		_, took, err := l.timed(ctx, program, args...)
		return []float64{ms(took)}, err
	}
}
