//go:build inside

package inside

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every command.
const patience = 2 * time.Minute

// image is what guests of systemd are made of, and tiny the smallest guest.
const (
	image = "tar:/var/cache/berth-test/bookworm.tar"
	tiny  = "dir:/root/tiny"
)

// try runs a command and returns all that it says.
func try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // also when the test ends
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // a Go program then tells where it hangs
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run runs a command that succeeds.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(t, args...)
	if err != nil {
		journal, _ := try(t, "journalctl", "--no-pager", "-n", "40", "-o", "short-monotonic")
		t.Fatalf("%q: %v\n%s\n--- journal\n%s", args, err, out, journal)
	}
	return out
}

// status is what berth tells of a container.
type status struct {
	State, Reason    string
	Leader, Restarts int
}

func statusOf(t *testing.T, name string) status {
	t.Helper()
	var all []status
	if err := json.Unmarshal([]byte(run(t, "berth", "status", "--json", name)), &all); err != nil || len(all) != 1 {
		t.Fatalf("status of %s: %v, %v", name, all, err)
	}
	return all[0]
}

// until waits for what nothing tells of. It looks for a fifth of the time: others
// need the processor.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		begun := time.Now()
		if done() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it did not come about that %s", what)
		}
		time.Sleep(max(20*time.Millisecond, 4*time.Since(begun)))
	}
}

// has wants text to contain all of these.
func has(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// makeTiny makes the tree of a guest that is one program.
func makeTiny(t *testing.T) {
	t.Helper()
	for _, d := range []string{"usr", "sbin", "bin", "etc", "proc", "sys", "dev", "run", "tmp", "root"} {
		must(t, os.MkdirAll("/root/tiny/"+d, 0o755))
	}
	must(t, os.WriteFile("/root/tiny/etc/os-release", []byte("ID=tiny\n"), 0o644))
	run(t, "cp", os.Getenv("BERTH_TEST_TINYINIT"), "/root/tiny/sbin/init")
	run(t, "ln", "-f", "/root/tiny/sbin/init", "/root/tiny/bin/true")
}
