//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestGenerationSwitchDies: a switch that is killed when it has stopped
// services, whether berth waits for it or has been killed too, is undone by one
// that starts them again.
func TestGenerationSwitchDies(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, "one")
	before := g.guest()
	g.link("two")

	update := g.held()
	update.endSwitch(syscall.SIGKILL)
	is(t, "exit code", update.wait(), 5)
	g.has(update.said.String(), "the switch ended with 137", "it has generation 1 again")
	g.isFirst(before)

	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		update := g.held()
		must(t, update.cmd.Process.Signal(syscall.SIGKILL))
		update.wait()
		update.endSwitch(signal)
		g.has(g.run("generations", "web").err, "was interrupted: it has generation 1 now")
		g.isFirst(before)
	}
	g.run("update", "web")
	is(t, "system", g.guest().system, "two")
}

// heldUpdate is an update whose switch waits for a service to end.
type heldUpdate struct {
	g      *generational
	leader int // of the guest
	cmd    *exec.Cmd
	said   bytes.Buffer
}

// held begins an update, and returns when its switch has stopped a service but
// for a last step.
func (g *generational) held() *heldUpdate {
	g.Helper()
	g.in("web", `mkdir -p /run/systemd/system/web.service.d
		rm -f /run/held /run/go
		mkfifo /run/held /run/go
		printf '[Service]\nExecStopPost=/bin/sh -c "echo > /run/held; read x < /run/go"\n' > /run/systemd/system/web.service.d/held.conf
		systemctl daemon-reload`)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	g.Cleanup(cancel)
	u := &heldUpdate{g: g, leader: g.status("web").Leader, cmd: g.command(ctx, "update", "web")}
	u.cmd.Stdout, u.cmd.Stderr = &u.said, &u.said
	must(g, u.cmd.Start())
	must(g, exec.CommandContext(ctx, "cat", fmt.Sprintf("/proc/%d/root/run/held", u.leader)).Run())
	return u
}

// endSwitch kills the switch, and lets the service end. No command of berth may
// do that: it would wait for the switch of one that was killed.
func (u *heldUpdate) endSwitch(signal syscall.Signal) {
	u.g.Helper()
	inGuest := fmt.Sprintf("/proc/%d/", u.leader)
	namespace, err := os.Readlink(inGuest + "ns/pid")
	must(u.g, err)
	killed := 0
	for _, line := range processes("bin/switch-to-configuration test") {
		var p int
		_, err := fmt.Sscan(line, &p)
		must(u.g, err)
		if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p)); err != nil || its != namespace {
			continue
		}
		must(u.g, syscall.Kill(p, signal))
		killed++
		u.g.until("the switch has ended", func() bool { return syscall.Kill(p, 0) != nil })
	}
	is(u.g, "switches that were killed", killed, 1)
	must(u.g, os.Remove(inGuest+"root/run/systemd/system/web.service.d/held.conf"))
	must(u.g, os.WriteFile(inGuest+"root/run/go", []byte("\n"), 0))
}

// isFirst makes sure that the guest is as it was with its first generation,
// and that all its services run.
func (g *generational) isFirst(before guest) {
	g.Helper()
	now := g.guest()
	is(g, "guest", guest{now.system, now.boot, now.steady, ""}, guest{"one", before.boot, before.steady, ""})
	g.until("its services run", func() bool {
		r := g.try("exec", "web", "--", "/bin/sh", "-c", "busybox wget -qO- http://127.0.0.1:8080/; busybox wget -qO- http://127.0.0.1:8081/; systemctl is-system-running")
		return r.out == "generation 1\ngeneration 1\nrunning\n"
	})
	is(g, "generations", g.table(), "1:one* 2:two!")
}

// wait returns the exit code.
func (u *heldUpdate) wait() int {
	_ = u.cmd.Wait()
	return u.cmd.ProcessState.ExitCode()
}
