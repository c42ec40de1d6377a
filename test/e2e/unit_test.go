//go:build e2e

package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExecUnits is about programs that are units of the guest's systemd.
func TestExecUnits(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	b.via = "unit"
	for _, test := range []func(*testing.T, *berth){execSeenInside, execLeavesOthers, execOverReexec, execInShutdown, execWithoutSystemd} {
		test(t, b)
	}
}

// units are those that berth has in the guest.
func (b *berth) units(name string) string {
	b.Helper()
	direct := *b
	direct.via = "direct"
	return direct.out("exec", name, "--", "systemctl", "list-units", "--all", "--no-legend", "--plain", "berth-exec-*")
}

// execSeenInside: the guest's root sees what runs, and nothing afterwards,
// however it ended.
func execSeenInside(t *testing.T, b *berth) {
	for name, end := range map[string]func(kill func(os.Signal)){
		"killed":     func(kill func(os.Signal)) { kill(syscall.SIGKILL) },
		"terminated": func(kill func(os.Signal)) { kill(syscall.SIGTERM) },
	} {
		cmd, out := b.spawn("exec", "web", "--", "sh", "-c", "echo ready; exec sleep 4321")
		is(t, "first line", out.line(), "ready")
		b.until("it runs", func() bool { return b.guestRuns("web", "sleep", "4321") != 0 })
		b.has(b.in("web", "systemctl status 'berth-exec-*'"), "sleep 4321", "Run by berth", "active (running)")
		end(func(s os.Signal) { must(t, cmd.Process.Signal(s)) })
		_ = cmd.Wait()
		b.until("its unit is gone after it was "+name, func() bool { return b.units("web") == "" })
		b.until("it has ended", func() bool { return b.guestRuns("web", "sleep", "4321") == 0 })
	}
	b.fails(3, "exec", "web", "--", "sh", "-c", "exit 3")
	b.fails(3, "exec", "web", "--", "sh", "-c", "sleep 0.1; exit 3")
	b.fails(143, "exec", "web", "--", "sh", "-c", "sleep 0.1; kill $$")
	b.until("no unit is left", func() bool { return b.units("web") == "" })
	is(t, "failed units", b.in("web", "systemctl --failed --no-legend"), "")
}

// execLeavesOthers: what a command leaves running runs on.
func execLeavesOthers(t *testing.T, b *berth) {
	r := b.run("exec", "web", "--", "sh", "-c", "sleep 2345 >/dev/null 2>&1 </dev/null & echo started")
	is(t, "output", r.out, "started\n")
	if r.took > 5*time.Second {
		t.Errorf("exec waited for a process in the background: %v", r)
	}
	b.until("the process in the background runs on", func() bool { return b.guestRuns("web", "sleep", "2345") != 0 })
	must(t, syscall.Kill(b.guestRuns("web", "sleep", "2345"), syscall.SIGKILL))
	b.until("the unit is gone", func() bool { return b.units("web") == "" })
}

// execOverReexec: the guest's systemd may be upgraded by a command.
func execOverReexec(t *testing.T, b *berth) {
	b.run("exec", "web", "--", "systemctl", "daemon-reexec")
	cmd, out := b.spawn("exec", "web", "--", "sh", "-c", "systemctl daemon-reexec; echo done; read line; exit 9")
	is(t, "first line", out.line(), "done")
	must(t, cmd.Process.Signal(syscall.SIGCONT)) // does nothing, and does not hurt
	_ = cmd.Wait()                               // its input is empty
	is(t, "code", cmd.ProcessState.ExitCode(), 9)
	for range 5 {
		b.run("exec", "web", "--", "systemctl", "daemon-reexec")
	}
	b.until("no unit is left", func() bool { return b.units("web") == "" })
}

// execInShutdown: a command may shut its guest down, and still be heard.
func execInShutdown(t *testing.T, b *berth) {
	b.try("exec", "web", "--", "systemctl", "isolate", "rescue.target")
	is(t, "in another target", b.in("web", "echo alive"), "alive")
	b.try("exec", "web", "--", "systemctl", "poweroff") // the guest may end before the command
	b.run("wait", "web", "--for=stopped")
	b.run("start", "web")
}

// execWithoutSystemd: where the guest's systemd does not help, berth does
// without, unless it is told not to.
func execWithoutSystemd(t *testing.T, b *berth) {
	auto := *b
	auto.via = "auto"
	answers := func(why string) {
		t.Helper()
		is(t, why, auto.in("web", "echo alive"), "alive")
	}
	leader := b.status("web").Leader
	must(t, syscall.Kill(leader, syscall.SIGSTOP)) // as one that has crashed
	answers("systemd is stuck")
	b.has(b.fails(125, "exec", "web", "true").err, "the guest's systemd does not run it: it does not answer")
	must(t, syscall.Kill(leader, syscall.SIGCONT))
	b.run("exec", "web", "true")

	auto.in("web", "mv /run/systemd/private /run/systemd/away")
	answers("systemd does not listen")
	b.has(b.fails(125, "exec", "web", "true").err, "/run/systemd/private")
	auto.in("web", "ln -s /etc/passwd /run/systemd/private")
	answers("no socket")
	b.has(b.fails(125, "exec", "web", "true").err, "connect")
	auto.in("web", "rm /run/systemd/private; mv /run/systemd/away /run/systemd/private")
	b.run("exec", "web", "true")

	odd := "\xff\xfe"
	b.has(b.fails(125, "exec", "web", "--", "echo", odd).err, "UTF-8")
	is(t, "bytes that are no text", strings.TrimSpace(auto.run("exec", "web", "--", "echo", odd).out), odd)
	auto.fails(126, "exec", "web", "/etc/passwd")
	auto.fails(127, "exec", "web", "no-such-program")
	is(t, "number without name", auto.out("exec", "--user", "4321", "web", "id", "-u"), "4321")
}
