//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestConcurrent runs many commands at once about few containers. They may
// refuse, for what they find may be gone; they may not hang, break anything or
// say anything that is not about that.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	name := func(r *rand.Rand) string { return fmt.Sprintf("c%d", r.IntN(5)) }
	commands := []func(*rand.Rand) []string{
		func(r *rand.Rand) []string { return []string{"create", name(r), "--image", tiny(), "labels.x=y"} },
		func(r *rand.Rand) []string { return []string{"start", name(r)} },
		func(r *rand.Rand) []string { return []string{"stop", name(r)} },
		func(r *rand.Rand) []string { return []string{"restart", name(r)} },
		func(r *rand.Rand) []string { return []string{"terminate", name(r)} },
		func(r *rand.Rand) []string { return []string{"pause", name(r)} },
		func(r *rand.Rand) []string { return []string{"resume", name(r)} },
		func(r *rand.Rand) []string { return []string{"destroy", name(r), "--yes"} },
		func(r *rand.Rand) []string {
			return []string{"set", name(r), fmt.Sprintf("limits.tasksMax=%d", 100+r.IntN(100)), "--yes"}
		},
		func(r *rand.Rand) []string {
			return []string{"set", name(r), fmt.Sprintf("environment.X=%d", r.IntN(100)), "--yes"}
		},
		func(r *rand.Rand) []string { return []string{"exec", name(r), "--", "true"} },
		func(r *rand.Rand) []string { return []string{"start", "--all"} },
		func(*rand.Rand) []string { return []string{"ls", "--json"} },
		func(*rand.Rand) []string { return []string{"status", "--all"} },
		func(*rand.Rand) []string { return []string{"doctor", "--fix"} },
		func(r *rand.Rand) []string { return []string{"why", name(r)} },
		func(*rand.Rand) []string { return []string{"image", "ls"} },
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 20)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range 300 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		args := commands[r.IntN(len(commands))](r)
		slots <- struct{}{}
		wg.Go(func() {
			if r := b.try(args...); !understood(r) {
				t.Errorf("at the same time as others: %v", r)
			}
			<-slots
		})
	}
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	for goOn := true; goOn; { // what runs in a guest ends when that is not paused any more
		b.try("resume", "--all")
		select {
		case <-ended:
			goOn = false
		case <-time.After(100 * time.Millisecond):
		}
	}
	b.clean()
	for _, n := range strings.Fields(b.out("ls", "-q")) {
		b.run("start", n)
		b.run("exec", n, "--", "true")
	}
}

// understood reports whether a command did its work or says why somebody
// else's did not let it.
func understood(r result) bool {
	if r.code == 0 {
		return true
	}
	for _, reason := range []string{
		"no such container", "exists already", "not running", "shut down before", "it has changed since", "it is paused",
		"no container matches", "systemd-nspawn was ended", "has ended", "has just ended", "killed before it ran", ", not running", "ended before it was ready",
	} {
		if strings.Contains(r.err, reason) {
			return true
		}
	}
	return r.code == 137 && r.args[0] == "exec"
}
