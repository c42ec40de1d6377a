//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestGenerationKilled kills berth with SIGKILL at random moments of updates.
// The next command has to say which generation the guest runs, and the guest to
// run it whole.
func TestGenerationKilled(t *testing.T) {
	t.Parallel()
	rounds := number(t, "BERTH_TEST_UPDATE_KILLS", 36)
	for _, lane := range []struct {
		name    string
		rounds  int
		restart bool     // with each update
		systems []string // to go to, one after the other
	}{
		{"in place", rounds / 2, false, []string{"two", "one"}},
		{"to a bad one", rounds / 4, false, []string{"failing", "two", "failing", "one"}},
		{"restart", rounds / 4, true, []string{"two", "one"}},
	} {
		t.Run(lane.name, func(t *testing.T) {
			t.Parallel()
			k := updateKiller{generational: newGenerational(t, "one", "healthTimeout=1min"), restart: lane.restart}
			seed := uint64(number(t, "BERTH_TEST_SEED", int(rand.Uint32())))
			t.Logf("BERTH_TEST_SEED=%d", seed)
			k.rand = rand.New(rand.NewPCG(seed, 1))
			k.before = k.guest()
			k.typical = k.run(k.arguments("two")...).took
			k.run(k.arguments("one")...)
			for i := range lane.rounds {
				k.round(lane.systems[i%len(lane.systems)])
			}
			if k.interrupted == 0 {
				t.Error("no update was interrupted: nothing was tested")
			}
			t.Logf("%d of %d updates were interrupted", k.interrupted, lane.rounds)
		})
	}
}

// updateKiller kills updates of one container.
type updateKiller struct {
	*generational
	rand        *rand.Rand
	restart     bool
	count       int
	typical     time.Duration
	before      guest // which goes on, unless updates restart it
	interrupted int
}

// arguments are those of an update.
func (k *updateKiller) arguments(system string) []string {
	k.count++
	args := []string{"set", "web", "--yes", "system=" + k.s.Systems[system]}
	if k.restart {
		args = append(args, fmt.Sprintf("environment.COUNT=%d", k.count))
	}
	return args
}

func (k *updateKiller) round(system string) {
	k.Helper()
	what := k.kill(system)
	r := k.try("generations", "web", "--json")
	if strings.Contains(r.err, "was interrupted") {
		k.interrupted++
	}
	var kept []generation
	if err := json.Unmarshal([]byte(r.out), &kept); err != nil {
		k.Fatalf("%s: %v: %v", what, err, r)
	}
	current := ""
	for _, g := range kept {
		if g.Current {
			current = k.nameOf(g.System)
		}
		if g.Next {
			k.Errorf("%s: the next start takes another generation: %v", what, g)
		}
	}
	now := k.guest()
	if r.code != 0 || now.system != current || current != "one" && current != "two" {
		k.Fatalf("%s: the guest runs %s, its generation is %s, status tells %+v: %v", what, now.system, current, k.told(), r)
	}
	if !k.restart && (now.boot != k.before.boot || now.steady != k.before.steady) {
		k.Errorf("%s: it was %v and is %v", what, k.before, now)
	}
	number := map[string]string{"one": "1", "two": "2"}[current]
	k.until("the services are those of "+current+" after "+what, func() bool {
		r := k.try("exec", "web", "--", "/bin/sh", "-c", "busybox wget -qO- http://127.0.0.1:8080/; busybox wget -qO- http://127.0.0.1:8081/; systemctl is-system-running")
		return r.out == fmt.Sprintf("generation %[1]s\ngeneration %[1]s\nrunning\n", number)
	})
	if told := k.told(); told.System != current || told.State != "running" {
		k.Fatalf("%s: the guest runs %s, status tells %+v", what, current, told)
	}
	if left, _ := filepath.Glob(filepath.Join(k.root, "run/berth/transitions/*")); len(left) > 0 {
		k.Errorf("%s: %v is left", what, left)
	}
}

// told is what status tells, with the system's name.
func (k *updateKiller) told() (s struct{ System, State string }) {
	k.Helper()
	var all []struct{ System, State string }
	k.json(&all, "status", "--json", "web")
	s = all[0]
	s.System = k.nameOf(s.System)
	return s
}

// kill begins an update, and kills berth while it is at it.
func (k *updateKiller) kill(system string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := k.command(ctx, k.arguments(system)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(k, cmd.Start())
	delay := time.Duration(k.rand.Int64N(int64(k.typical * 5 / 4)))
	time.Sleep(delay) // the moment is what the test is about
	_ = syscall.Kill(cmd.Process.Pid, syscall.SIGKILL)
	err := cmd.Wait()
	return fmt.Sprintf("an update to %s that was killed after %v (%v, %s)", system, delay, err, strings.ReplaceAll(said.String(), "\n", "; "))
}
