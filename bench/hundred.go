package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The containers of the rows about many, and how many of them run.
const (
	hundred = 100
	running = 20
)

// measureHundred gives the rows that need many containers.
func measureHundred(ctx context.Context, l *lab) ([]row, error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	l.say("make %d containers and start %d", hundred, running)
	err = errors.Join(l.makeContainers(ctx, "some", running, t), l.makeContainers(ctx, "other", hundred-running, t))
	if err != nil {
		return nil, err
	}
	if _, _, err := l.run(ctx, "start", "some*"); err != nil {
		return nil, err
	}
	rows, err := l.lists(ctx)
	if err != nil {
		return rows, err
	}
	memory, err := l.memory()
	if err != nil {
		return rows, err
	}
	rows = append(rows, memory...)
	if _, _, err := l.run(ctx, "stop", "--all"); err != nil {
		return rows, err
	}
	l.say("start %d containers", hundred)
	_, took, err := l.run(ctx, "start", "--all")
	if err == nil {
		err = l.allRun(ctx, hundred)
	}
	if err != nil {
		return rows, err
	}
	return append(rows, row{What: fmt.Sprintf("start %d containers at once; all are ready", hundred), Berth: samples{ms(took)},
		Notes: []string{fmt.Sprintf("all of the %d were observed as running afterwards; %d of them boot for the first time", hundred, hundred-running)}}), nil
}

func (l *lab) lists(ctx context.Context) ([]row, error) {
	own := func(args ...string) trial {
		return l.timedTrial(l.options.berth, append([]string{"--root", l.paths.Root, "ls"}, args...)...)
	}
	s, err := interleave(ctx, short*l.n, own(), own("--json"))
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf(" with %d containers, %d running", hundred, running)
	return []row{
		{What: "ls" + what, Berth: s[0][0], Absolute: 10},
		{What: "ls --json" + what, Berth: s[1][0]},
	}, nil
}

// memory gives the private memory that berth keeps for each running
// container.
func (l *lab) memory() ([]row, error) {
	unix.Sync() // pages of files that wait to be written count as private
	var shims, nspawns samples
	for i := range running {
		g := l.cgroups.Group(l.paths.Instance()).Child(fmt.Sprintf("some%d", i))
		shim, err := g.Child("shim").Procs()
		if err != nil {
			return nil, err
		}
		guest, err := g.Child("guest").Procs()
		if err != nil {
			return nil, err
		}
		kept, err := private(shim)
		if err != nil {
			return nil, err
		}
		below, err := private(named(guest, "systemd-nspawn"))
		if err != nil {
			return nil, err
		}
		shims, nspawns = append(shims, kept), append(nspawns, below)
	}
	note := fmt.Sprintf("memory: Private_Clean and Private_Dirty of the %d shims, after sync; berth keeps no other process. The systemd-nspawn of each guest is shown for comparison", running)
	return []row{{What: "private memory of berth for each running container, with systemd-nspawn's own as the peer", Unit: "MB",
		Berth: shims, Peer: nspawns, Absolute: 4, Notes: []string{note}}}, nil
}

// named are those of the processes whose program has the name.
func named(pids []int, name string) []int {
	var out []int
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if strings.TrimSpace(string(b)) == name {
			out = append(out, pid)
		}
	}
	return out
}

// private is the memory in megabytes that only these processes have.
func private(pids []int) (float64, error) {
	if len(pids) == 0 {
		return 0, errors.New("a running container has no shim, or no systemd-nspawn")
	}
	kb := 0
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if !strings.HasPrefix(line, "Private_Clean:") && !strings.HasPrefix(line, "Private_Dirty:") {
				continue
			}
			var name string
			var n int
			if _, err := fmt.Sscan(line, &name, &n); err != nil {
				return 0, err
			}
			kb += n
		}
	}
	return float64(kb) / 1024, nil
}
