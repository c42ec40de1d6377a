package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// A process is in its group in every hierarchy from its birth, and the one
// that started it stays where it was, with all of its threads.
func TestStart(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	for range 20 {
		cmd := exec.Command("sleep", "1000")
		must(t, g.Start(cmd))
		places, err := g.h.places(strconv.Itoa(cmd.Process.Pid))
		must(t, err)
		if len(places) != len(g.h.list) {
			t.Errorf("it is in %d hierarchies of %d", len(places), len(g.h.list))
		}
		for _, p := range places {
			if p.dir != g.dir(p.hierarchy) {
				t.Errorf("it is in %s, not in %s", p.dir, g.dir(p.hierarchy))
			}
		}
		if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
			t.Errorf("the group has the processes %v, not %d alone: %v", pids, cmd.Process.Pid, err)
		}
		must(t, unix.Kill(cmd.Process.Pid, unix.SIGKILL))
		_ = cmd.Wait()
	}
}

func TestStartOfNothing(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	if err := g.Start(exec.Command("/nonexistent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	missing := g.h.Group(g.path + "/missing")
	if err := missing.Start(exec.Command("true")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if pids, err := g.Procs(); err != nil || len(pids) != 0 {
		t.Errorf("the group has the processes %v: %v", pids, err)
	}
}

// Joining where a process is already moves nothing.
func TestJoinTwice(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	p := join(t, g)
	must(t, g.Join(p.Process.Pid))
	if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{p.Process.Pid}) {
		t.Errorf("the group has the processes %v: %v", pids, err)
	}
}
