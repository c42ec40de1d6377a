//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestLifecycle takes one container through every state.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	quiet := func(want string, args ...string) { // verbs that do something answer nothing
		t.Helper()
		r := b.run(args...)
		is(t, "stdout of "+args[0], r.out, "")
		b.has(r.err, want)
	}
	quiet("web: created", "create", "web", "--image", debian())
	b.state("web", "stopped")
	quiet("web: ready", "start", "web")
	quiet("web: ready", "start", "web") // twice is no error
	s := b.status("web")
	is(t, "state", s.State, "running")
	is(t, "owner", s.Owner, "cli")
	is(t, "image", s.Image, debian())
	if s.Leader <= 1 || s.UIDBase < 1<<16 {
		t.Errorf("status: %+v", s)
	}
	is(t, "system", b.in("web", "systemctl is-system-running --wait"), "running")

	quiet("web: paused", "pause", "web")
	b.state("web", "paused")
	is(t, "exec in a paused guest", b.try("exec", "web", "--", "true").code, 125)
	is(t, "cp into a paused guest", b.try("cp", "/etc/hostname", "web:/tmp/x").code, 1)
	is(t, "logs of a paused guest", b.try("logs", "web").code, 0)
	is(t, "why it is paused", b.try("why", "web").code, 0)
	quiet("web: running", "resume", "web")
	b.state("web", "running")

	boot := b.bootID("web")
	quiet("web: ready", "restart", "web")
	if b.bootID("web") == boot {
		t.Error("restart left the guest running")
	}
	quiet("web: stopped", "stop", "web")
	quiet("web: stopped", "stop", "web")
	b.state("web", "stopped")
	b.fails(1, "pause", "web")
	quiet("web: ready", "start", "web")
	quiet("web: terminated", "terminate", "web")
	b.state("web", "stopped")
	quiet("web: destroyed", "destroy", "web")
	is(t, "containers", b.out("ls", "-q"), "")
	b.fails(3, "status", "web")
}

// bootID differs from boot to boot of a Debian guest: its PID 1 is another.
func (b *berth) bootID(name string) string {
	b.Helper()
	return b.in(name, "systemctl show --property=UserspaceTimestampMonotonic,MachineID; stat -c %Y /proc/1; readlink /proc/1/ns/pid")
}

func TestWait(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny())
	b.run("wait", "k", "--for", "stopped")
	r := b.fails(5, "wait", "k", "--timeout", "100ms")
	b.has(r.err, "not ready in time", "stopped")
	b.fails(2, "wait", "k", "--for", "christmas")

	ended := make(chan result, 1)
	go func() { ended <- b.try("wait", "k") }()
	b.run("start", "k")
	if r := <-ended; r.code != 0 {
		t.Errorf("wait for a start: %v", r)
	}
	go func() { ended <- b.try("wait", "k", "--for=stopped") }()
	b.run("stop", "k")
	if r := <-ended; r.code != 0 {
		t.Errorf("wait for a stop: %v", r)
	}
}

// TestMany selects containers by glob, by label and all.
func TestMany(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	for _, n := range []string{"a1", "a2", "b1"} {
		b.run("create", n, "--image", tiny(), "labels.team="+n[:1], "labels.env=test")
	}
	names := func(args ...string) string {
		t.Helper()
		return strings.Join(strings.Fields(b.out(append([]string{"ls", "-q"}, args...)...)), " ")
	}
	is(t, "all", names(), "a1 a2 b1")
	is(t, "glob", names("a*"), "a1 a2")
	is(t, "label", names("-l", "team=b"), "b1")
	is(t, "labels", names("-l", "env", "-l", "team=a"), "a1 a2")

	b.has(b.run("start", "--all").err, "a1: ready", "a2: ready", "b1: ready", "3 ready, 0 failed")
	b.has(b.run("stop", "a?").err, "2 stopped, 0 failed")
	b.state("b1", "running")
	b.has(b.run("stop", "-l", "env=test").err, "3 stopped")
	b.state("b1", "stopped")

	r := b.fails(3, "start", "a1", "nobody") // a name that is not there: nothing starts
	b.has(r.err, "nobody", "no such container", "hint: berth ls")
	b.state("a1", "stopped")
	b.has(b.fails(3, "start", "z*").err, "no container matches")
	b.has(b.fails(2, "start", "a1", "--all").err, "not both")
	b.has(b.fails(2, "stop").err, "no container is named")

	b.run("set", "a2", "bindMounts./srv.hostPath=/does/not/exist") // one of several fails
	r = b.fails(1, "start", "--all")
	b.has(r.err, "a1: ready", "b1: ready", "a2", "/does/not/exist", "2 ready, 1 failed")
	b.has(b.run("destroy", "--all", "--yes").err, "3 destroyed, 0 failed")
	b.run("start", "--all") // none is fine
}

// TestDestroyKeepsBoundData destroys a container with a bind mount.
func TestDestroyKeepsBoundData(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.file("data/precious", "gold\n")
	b.run("create", "k", "--image", tiny(), "bindMounts./srv.hostPath=data", "bindMounts./srv.isReadOnly=false", "--start")
	b.run("exec", "k", "--", "write", "/srv/new", "silver")
	b.run("destroy", "k", "--yes")
	is(t, "precious", b.read(b.work+"/data/precious"), "gold\n")
	is(t, "new", b.read(b.work+"/data/new"), "silver\n")
}

// TestStopLimit stops a guest that does not listen.
func TestStopLimit(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "deaf", "--image", tiny(), "environment.TINY=deaf", "--start")
	if r := b.run("stop", "deaf", "--timeout", "1s"); r.took < time.Second || r.took > 15*time.Second {
		t.Errorf("stop with a time limit of one second took %v", r.took)
	}
	b.state("deaf", "stopped")
	b.run("start", "deaf")
	if r := b.run("terminate", "deaf"); r.took > 5*time.Second {
		t.Errorf("terminate took %v", r.took)
	}
	b.run("start", "deaf") // one that others wait for
	waiting := make(chan result, 1)
	go func() { waiting <- b.try("stop", "deaf") }()
	b.until("it is stopping", func() bool { return b.status("deaf").State == "stopping" })
	b.run("terminate", "deaf")
	if r := <-waiting; r.code != 0 {
		t.Errorf("stop of what is terminated meanwhile: %v", r)
	}
}
