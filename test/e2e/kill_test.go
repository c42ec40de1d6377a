//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKill kills berth, its shims and systemd-nspawn with SIGKILL at random
// moments of random commands. After each the next command has to work, and at
// the end nothing may be left and no data of the host be touched.
func TestKill(t *testing.T) {
	t.Parallel()
	const lanes = 3
	total := number(t, "BERTH_TEST_KILLS", 300)
	for lane := range lanes {
		t.Run(fmt.Sprintf("tiny%d", lane), func(t *testing.T) {
			t.Parallel()
			newKiller(t, tiny(), uint64(lane)).rounds((total + lanes - 1) / lanes)
		})
	}
	t.Run("debian", func(t *testing.T) {
		t.Parallel()
		newKiller(t, debian(), lanes).rounds(max(4, total/15))
	})
}

func number(t *testing.T, variable string, otherwise int) int {
	n, err := strconv.Atoi(either(variable, strconv.Itoa(otherwise)))
	must(t, err)
	return n
}

// killer kills commands about one container.
type killer struct {
	*berth
	rand    *rand.Rand
	image   string
	extra   []string                 // keys for create
	data    string                   // the bind-mounted directory
	typical map[string]time.Duration // how long a command takes that nobody kills
	log     []string
}

func newKiller(t *testing.T, image string, lane uint64) *killer {
	seed := uint64(number(t, "BERTH_TEST_SEED", int(rand.Uint32())))
	t.Logf("BERTH_TEST_SEED=%d", seed)
	k := &killer{berth: newBerth(t), rand: rand.New(rand.NewPCG(seed, lane)), image: image, typical: map[string]time.Duration{}}
	k.data = filepath.Join(k.work, "data")
	for i := range 20 {
		k.file(fmt.Sprintf("data/%d/file", i), strings.Repeat("precious\n", i))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened:\n%s", strings.Join(k.log, "\n"))
		}
	})
	return k
}

const victim = "k"

func (k *killer) rounds(n int) {
	before, err := digestTree(k.data)
	must(k, err)
	verbs := []string{"create", "start", "exec", "set", "stop", "destroy", "restart"}
	for i := range n {
		verb := verbs[k.rand.IntN(len(verbs))]
		k.ready(verb)
		what := k.kill(verb)
		k.log = append(k.log, fmt.Sprintf("%d: %s: %s", i, verb, what))
		k.recover(verb)
	}
	k.run("doctor", "--fix") // what the last round left
	after, err := digestTree(k.data)
	must(k, err)
	is(k, "digest of the bind-mounted data", after, before)
}

// arguments are those of a verb.
func (k *killer) arguments(verb string) []string {
	switch verb {
	case "create":
		return append([]string{"create", victim, "--image", k.image, "bindMounts./srv.hostPath=" + k.data, "bindMounts./srv.isReadOnly=false"}, k.extra...)
	case "exec":
		return []string{"exec", victim, "--", "sleep", "0.05"}
	case "set":
		return []string{"set", victim, fmt.Sprintf("labels.n=%d", k.rand.IntN(100)), fmt.Sprintf("limits.tasksMax=%d", 200+k.rand.IntN(100)), "--yes"}
	case "destroy":
		return []string{"destroy", victim, "--yes"}
	}
	return []string{verb, victim}
}

// exists asks whether there is a container.
func (k *killer) exists() bool { return k.out("ls", "-q") == victim }

// ready brings about what a verb needs, with commands that have to work
// whatever was killed before.
func (k *killer) ready(verb string) {
	k.Helper()
	exists := k.exists()
	switch {
	case verb == "create" && exists:
		k.timed("destroy")
	case verb != "create" && !exists:
		k.timed("create")
	}
	switch verb {
	case "start":
		k.timed("stop")
	case "exec", "stop", "restart":
		k.timed("start")
	}
}

// timed runs a command to its end, and learns how long that takes.
func (k *killer) timed(verb string) {
	k.Helper()
	r := k.run(k.arguments(verb)...)
	k.typical[verb] = (k.typical[verb] + r.took) / 2
}

// kill runs a command and kills something while it does.
func (k *killer) kill(verb string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := k.command(ctx, k.arguments(verb)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(k, cmd.Start())
	longest := max(5*time.Millisecond, k.typical[verb]*5/4)
	delay := time.Duration(k.rand.Int64N(int64(longest)))
	time.Sleep(delay) // the moment is what the test is about
	pid, name := cmd.Process.Pid, "berth"
	if all := processes(k.root); len(all) > 0 && k.rand.IntN(10) < 3 {
		name = all[k.rand.IntN(len(all))]
		first, _, _ := strings.Cut(name, " ")
		pid, _ = strconv.Atoi(first)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	err := cmd.Wait()
	if ctx.Err() != nil {
		k.Fatalf("%s hangs after %s was killed:\n%s", verb, name, said.String())
	}
	return fmt.Sprintf("killed after %v: %.200s: %v %s", delay, name, err, said.String())
}

// recover makes sure that what was killed can be done again, or something
// else instead.
func (k *killer) recover(verb string) {
	k.Helper()
	switch exists := k.exists(); {
	case verb == "create" && exists:
		k.again([]string{"start", "stop", "destroy", "set"}[k.rand.IntN(4)])
	case exists:
		k.again(verb)
	case verb == "create":
		k.timed("create")
	case verb != "destroy":
		k.Fatalf("%s took the container away", verb)
	}
	k.out("status", "--all")
}

// again repeats a verb. Where a shim or a guest was killed, it may take a
// moment until somebody notices: until then exec finds no guest that runs, and
// set a plan that does not hold any more.
func (k *killer) again(verb string) {
	k.Helper()
	if verb != "exec" && verb != "set" {
		k.timed(verb)
		return
	}
	if verb == "exec" {
		k.noSleepers()
	}
	k.until(verb+" works again", func() bool {
		if verb == "exec" {
			k.timed("start")
		}
		return k.try(k.arguments(verb)...).code == 0
	})
}

// noSleepers makes sure that what a killed exec had started has ended.
func (k *killer) noSleepers() {
	k.Helper()
	k.until("the command of a killed exec ends", func() bool { return k.guestRuns(victim, "sleep", "0.05") == 0 })
}

// pidsOf are the processes in the control group of a container.
func pidsOf(root, name string) []int {
	var out []int
	seen := map[int]bool{}
	for _, d := range guestGroups(root, name) {
		_ = filepath.WalkDir(d, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() || e.Name() != "cgroup.procs" {
				return nil
			}
			b, _ := os.ReadFile(path)
			for f := range strings.FieldsSeq(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil && !seen[pid] {
					seen[pid] = true
					out = append(out, pid)
				}
			}
			return nil
		})
	}
	return out
}
