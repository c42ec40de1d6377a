//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// berth is the program under test, on a root of its own that has the images
// of all tests.
type berth struct {
	testing.TB
	root    string
	work    string // the working directory of its commands
	env     []string
	binary  string        // the program, if it is not the one that all tests use
	longest time.Duration // for each command; 0 is patience
	via     string        // the way into guests of exec, shell and login, if that is not auto
}

// patience bounds every command: one that takes longer hangs.
const patience = 90 * time.Second

var rootNumber atomic.Int32

// newBerth returns berth on a new root. When the test ends its containers are
// destroyed, and nothing of them may be left.
func newBerth(t testing.TB) *berth {
	t.Helper()
	top := filepath.Join(os.Getenv(dirVariable), fmt.Sprint(rootNumber.Add(1)))
	b := &berth{TB: t, root: filepath.Join(top, "root"), work: filepath.Join(top, "work")}
	images := filepath.Join(b.root, "var/lib/berth/images")
	must(t, os.MkdirAll(b.work, 0o755))
	must(t, os.MkdirAll(filepath.Dir(images), 0o700))
	must(t, os.Symlink(storeImages(os.Getenv(dirVariable)), images))
	must(t, os.MkdirAll(filepath.Join(b.root, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(b.root, "etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o644)) // so that the machine's own stays
	t.Cleanup(b.finish)
	return b
}

// images gives the root an image store of its own.
func (b *berth) ownImages() *berth {
	must(b, os.Remove(filepath.Join(b.root, "var/lib/berth/images")))
	return b
}

// finish destroys what is left and makes sure that nothing is left then.
func (b *berth) finish() {
	b.Helper()
	if b.Failed() {
		b.tellWhy()
	}
	b.try("terminate", "--all")
	if r := b.try("destroy", "--all", "--yes"); r.code != 0 {
		b.Errorf("at the end: %v", r)
	}
	b.clean()
	b.awaitNames()
	for _, l := range leftovers(b.root) {
		b.Errorf("left behind: %s", l)
	}
}

// tellWhy logs what there is to know of each container after a failure, which
// may not come a second time.
func (b *berth) tellWhy() {
	for n := range strings.FieldsSeq(b.try("ls", "-q").out) {
		b.Log(b.try("why", n))
		b.Log(b.try("logs", "-n", "60", n))
		if underSystemd() {
			out, err := exec.Command("journalctl", "--no-pager", "-o", "short-precise", "-n", "60", "-u", systemd.Unit(state.Paths{Root: b.root}, container.Name(n))).CombinedOutput()
			b.Logf("journal of its unit: %v\n%s", err, out)
		}
	}
}

// awaitNames waits until the process for names has ended, which it does by
// itself after the last guest, and systemd has seen that, and the ends of others,
// and removed the groups of units, which it does when the kernel has told it that
// they are empty.
func (b *berth) awaitNames() {
	isNames := func(process string) bool { return strings.Contains(process, " names") }
	lingers := func() bool {
		return slices.ContainsFunc(processes(b.root), isNames) || underSystemd() && len(units(b.root))+len(cgroups(b.root)) > 0
	}
	for end := time.Now().Add(10 * time.Second); lingers() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond) // it is nobody's child here
	}
}

// clean asks doctor whether all is well.
func (b *berth) clean() {
	b.Helper()
	var all []struct{ Check, Severity, Text string }
	b.json(&all, "doctor", "--json")
	for _, f := range all {
		if f.Severity == "error" || f.Check == "leftovers" && f.Severity != "ok" || strings.HasPrefix(f.Check, "container ") {
			b.Errorf("doctor: %s: %s: %s", f.Severity, f.Check, f.Text)
		}
	}
}

// result is how a command ended.
type result struct {
	args     []string
	out, err string
	code     int // -1: it did not end in time
	took     time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("berth %q ended with %d after %v\n--- stdout\n%s--- stderr\n%s", r.args, r.code, r.took.Round(time.Millisecond), tail(r.out), tail(r.err))
}

func tail(s string) string { return s[max(0, len(s)-12000):] }

func (b *berth) command(ctx context.Context, args ...string) *exec.Cmd {
	if b.via != "" && slices.Contains([]string{"exec", "shell", "login"}, args[0]) {
		args = slices.Insert(slices.Clone(args), 1, "--via="+b.via)
	}
	cmd := exec.CommandContext(ctx, cmp.Or(b.binary, os.Getenv(binaryVariable)), args...)
	cmd.Dir = b.work
	cmd.Env = append(os.Environ(), append([]string{"BERTH_ROOT=" + b.root, "TERM=dumb"}, b.env...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // a Go program then tells where it hangs
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// feed runs a command with standard input. It may be called in any goroutine.
func (b *berth) feed(in io.Reader, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(b.longest, patience))
	defer cancel()
	cmd := b.command(ctx, args...)
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &err
	begun := time.Now()
	failure := cmd.Run()
	r := result{args: args, out: out.String(), err: err.String(), code: -1, took: time.Since(begun)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.err += "it did not end in time\n"
	case failure == nil || errors.As(failure, &exit):
		r.code = cmd.ProcessState.ExitCode()
	default:
		r.err += failure.Error()
	}
	return r
}

// try runs a command that may fail. It may be called in any goroutine.
func (b *berth) try(args ...string) result { return b.feed(nil, args...) }

// run runs a command that succeeds.
func (b *berth) run(args ...string) result {
	b.Helper()
	return b.fails(0, args...)
}

// fails runs a command that ends with code.
func (b *berth) fails(code int, args ...string) result {
	b.Helper()
	r := b.try(args...)
	if r.code != code {
		b.Fatalf("want exit code %d: %v", code, r)
	}
	return r
}

// out runs a command that succeeds and returns its answer without white space
// around it.
func (b *berth) out(args ...string) string {
	b.Helper()
	return strings.TrimSpace(b.run(args...).out)
}

// in runs a shell script in a guest and returns what it writes.
func (b *berth) in(name, script string) string {
	b.Helper()
	return b.out("exec", name, "--", "/bin/sh", "-euc", script)
}

// json reads the answer of a command.
func (b *berth) json(v any, args ...string) {
	b.Helper()
	r := b.run(args...)
	if err := json.Unmarshal([]byte(r.out), v); err != nil {
		b.Fatalf("%v: %v", err, r)
	}
}

// status is what `berth status --json` tells, as its users read it.
type status struct {
	Name, State, Owner, Reason, Image, Digest string
	Leader, Restarts                          int
	UIDBase                                   int
	Labels                                    map[string]string
	Pending                                   []change
	Lost                                      []string
}

type change struct{ Key, Old, New, Effect string }

func (b *berth) status(name string) status {
	b.Helper()
	var all []status
	b.json(&all, "status", "--json", name)
	if len(all) != 1 {
		b.Fatalf("status %s: %v", name, all)
	}
	return all[0]
}

// state asserts what a container is doing.
func (b *berth) state(name, want string) {
	b.Helper()
	if s := b.status(name); s.State != want {
		b.Fatalf("%s is %s, want %s: %+v\n%s", name, s.State, want, s, b.try("why", name).out)
	}
}

// until waits for something that berth has no event for. It looks for a fifth of
// the time: others need the processor.
func (b *berth) until(what string, done func() bool) {
	b.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		begun := time.Now()
		if done() {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("it did not come about that %s", what)
		}
		time.Sleep(max(20*time.Millisecond, 4*time.Since(begun)))
	}
}

// file writes a file of the working directory and returns its path.
func (b *berth) file(name, text string) string {
	b.Helper()
	path := filepath.Join(b.work, name)
	must(b, os.MkdirAll(filepath.Dir(path), 0o755))
	must(b, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// read reads a file of the host.
func (b *berth) read(path string) string {
	b.Helper()
	text, err := os.ReadFile(path)
	must(b, err)
	return string(text)
}

// Images that every root has.
func debian() string { return "tar:" + debianTar(os.Getenv(dirVariable)) }
func tiny() string   { return "dir:" + tinyTree(os.Getenv(dirVariable)) }

// has asserts that text contains all of these.
func (b *berth) has(text string, want ...string) {
	b.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			b.Errorf("%q is not in:\n%s", w, tail(text))
		}
	}
}

// is asserts that two values are equal.
func is[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
