//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPowerOff: a guest that powers off stays off.
func TestPowerOff(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	b.run("create", "k", "--image", tiny(), "--start")
	b.try("exec", "web", "--", "systemctl", "poweroff") // the guest may end before the command
	b.try("exec", "k", "--", "poweroff")
	b.run("wait", "--all", "--for=stopped")
	for _, n := range []string{"web", "k"} {
		b.state(n, "stopped")
		is(t, "reason", b.status(n).Reason, "")
	}
	b.clean()
}

// TestReboot: a guest that reboots comes back, with the spec of now, and that
// is no failure.
func TestReboot(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	b.run("create", "k", "--image", tiny(), "--start")
	b.in("web", "echo kept >/root/file")
	for _, n := range []string{"web", "k"} {
		before := b.status(n)
		b.try("exec", n, "--", "reboot")
		b.until(n+" is back", func() bool {
			s := b.status(n)
			return s.State == "running" && s.Leader != before.Leader && s.Leader != 0
		})
		is(t, "restarts of "+n, b.status(n).Restarts, 0)
	}
	is(t, "file", b.in("web", "cat /root/file"), "kept")
}

// TestCrash: what ends without having been asked to is started again, with
// pauses that grow.
func TestCrash(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny(), "environment.TINY=crash", "--start")
	begun := time.Now()
	for i := range 4 { // pauses of 0.1, 0.2, 0.4 and 0.8 s
		leader := b.status("k").Leader
		switch i {
		case 0:
			b.try("exec", "k", "--", "crash")
		case 1:
			must(t, syscall.Kill(leader, syscall.SIGKILL))
		default:
			must(t, syscall.Kill(b.nspawn("k"), syscall.SIGKILL))
		}
		b.until("it runs again", func() bool {
			s := b.status("k")
			return s.State == "running" && s.Leader != leader && s.Leader != 0
		})
		is(t, "restarts", b.status("k").Restarts, i+1)
	}
	if took := time.Since(begun); took < 1500*time.Millisecond {
		t.Errorf("four restarts took %v: there are no pauses", took)
	}
	b.has(b.out("why", "k"), "restarts after failures: 4", "cause of the last restart: ")
	b.has(b.out("status", "k"), "restarts    4")
	b.run("restart", "k")
	is(t, "restarts after one by its owner", b.status("k").Restarts, 0)
	must(t, syscall.Kill(b.nspawn("k"), syscall.SIGKILL)) // stop in the middle of it
	b.run("stop", "k")
	b.state("k", "stopped")
}

// nspawn is the PID of a container's systemd-nspawn.
func (b *berth) nspawn(name string) int {
	b.Helper()
	return b.process("systemd-nspawn", "/"+name+"/mnt/")
}

// process is the PID of the process of this root that has all words in its
// arguments.
func (b *berth) process(words ...string) int {
	b.Helper()
next:
	for _, p := range processes(b.root) {
		for _, w := range words {
			if !strings.Contains(p, w) {
				continue next
			}
		}
		var pid int
		_, err := fmt.Sscan(p, &pid)
		must(b, err)
		return pid
	}
	b.Fatalf("no process with %q among %q", words, processes(b.root))
	return 0
}

// TestShimKilled: without its shim a guest runs on, and berth says so. Under
// systemd berth keeps no process that could be killed.
func TestShimKilled(t *testing.T) {
	t.Parallel()
	if underSystemd() {
		b := newBerth(t)
		b.run("create", "k", "--image", tiny(), "--start")
		for _, p := range processes(b.root) {
			if !strings.Contains(p, "systemd-nspawn") {
				t.Errorf("beside the guest there is the process %s", p)
			}
		}
		return
	}
	for _, verb := range []string{"stop", "restart", "start", "terminate", "destroy"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			b := newBerth(t)
			b.run("create", "k", "--image", tiny(), "--start")
			leader := b.status("k").Leader
			must(t, syscall.Kill(b.process("shim", "k"), syscall.SIGKILL))
			b.until("the shim is gone", func() bool { return b.status("k").State != "running" })
			b.state("k", "unsupervised")
			is(t, "leader", b.status("k").Leader, leader)
			is(t, "exec", b.out("exec", "k", "--", "echo", "alive"), "alive")
			b.has(b.out("doctor"), "supervisor was killed", "berth restart k")
			b.run(verb, "k")
			switch verb {
			case "stop", "terminate":
				b.state("k", "stopped")
			case "start", "restart":
				b.state("k", "running")
			}
			b.clean()
		})
	}
}

// TestNeverReady: a guest that is not ready in time is an error, and gone.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "never", "--image", tiny(), "environment.TINY=never", "timeoutStartSec=4s")
	r := b.fails(5, "start", "never")
	b.has(r.err, "berth: never: ", "READY=1", "4s", "hint: berth why never")
	if r.took < 4*time.Second || r.took > 20*time.Second {
		t.Errorf("it took %v", r.took)
	}
	b.state("never", "failed")
	is(t, "processes", fmt.Sprint(processes(b.root)), "[]")
	is(t, "control groups", len(cgroups(b.root)), 0)
	b.has(b.out("why", "never"), "READY=1", "tinyinit: hello")
	b.run("set", "never", "environment.TINY=", "timeoutStartSec=1min")
	b.run("start", "never")
	is(t, "reason after a good start", b.status("never").Reason, "")
}

// TestBrokenImages: what cannot boot is a clear error that leaves nothing.
func TestBrokenImages(t *testing.T) {
	t.Parallel()
	b := newBerth(t).ownImages()
	for name, c := range map[string]struct {
		init string // what /sbin/init is
		want string
	}{
		"no-init":     {"", "its image has no init: there is none of /sbin/init"},
		"no-exec":     {"this is no program\n", "neither an executable program nor a script"},
		"bad-shebang": {"#!/no/such/interpreter\n", "its interpreter /no/such/interpreter: no such file"},
	} {
		b.file(name+"/usr/keep", "")
		b.file(name+"/etc/os-release", "ID=broken\n")
		if c.init != "" {
			must(t, os.Chmod(b.file(name+"/sbin/init", c.init), 0o755))
		}
		b.run("create", name, "--image", "dir:"+filepath.Join(b.work, name))
		r := b.fails(1, "start", name)
		b.has(r.err, "berth: "+name+": ", "hint: berth why "+name)
		b.has(r.err+b.out("why", name), c.want)
		b.state(name, "failed")
		is(t, "processes", fmt.Sprint(processes(b.root)), "[]")
		is(t, "control groups", len(cgroups(b.root)), 0)
	}
	must(t, os.MkdirAll(filepath.Join(b.work, "empty"), 0o755))
	if r := b.try("create", "empty", "--image", "dir:"+filepath.Join(b.work, "empty"), "--start"); r.code != 1 {
		t.Errorf("an empty directory as an image: %v", r)
	}
}

// TestUpgrade replaces and removes the berth binary under running guests.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	old := filepath.Join(b.work, "berth")
	install := func(to string) { // by a program: one that this process wrote could be busy
		t.Helper()
		must(t, command(t.Context(), "cp", os.Getenv(binaryVariable), to))
	}
	install(old)
	b.binary = old
	b.run("create", "web", "--image", debian(), "--start")
	b.run("create", "k", "--image", tiny(), "environment.TINY=crash", "--start")
	boot := b.bootID("web")

	install(old + ".new")
	must(t, os.Rename(old+".new", old))
	is(t, "boot after an upgrade", b.bootID("web"), boot)
	b.run("pause", "web")
	b.run("resume", "web")
	must(t, os.Remove(old))
	b.binary = ""
	is(t, "boot after the removal", b.bootID("web"), boot)

	if underSystemd() {
		install(old) // which the units start
	}
	leader := b.status("k").Leader // its supervisor has to start it again
	b.try("exec", "k", "--", "crash")
	b.until("it runs again", func() bool {
		s := b.status("k")
		return s.State == "running" && s.Leader != leader && s.Leader != 0
	})
	b.run("stop", "--all")
	b.state("web", "stopped")
}

// TestLogRotation: a guest that talks a lot does not fill the disk.
func TestLogRotation(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	if underSystemd() { // whose journal takes no more than so much of each unit in half a minute
		b.in("web", "yes 'the same again' | head -n 200000 >/dev/console")
		b.until("the guest's words are in the log", func() bool { return strings.Contains(b.out("logs", "-n", "10", "web"), "the same again") })
		if n := strings.Count(b.out("logs", "web"), "\n"); n > 100000 {
			t.Errorf("the log has %d lines", n)
		}
		return
	}
	log := filepath.Join(b.root, "var/log/berth/web.log")
	for range 3 {
		b.in("web", "yes 'and again the same hundred bytes, so that lines are not too short, and so on and so forth, amen' | head -c 9M >/dev/console")
		b.until("the log was rotated", func() bool {
			info, err := os.Stat(log)
			return err == nil && info.Size() < 1<<20
		})
	}
	b.in("web", "echo the last word >/dev/console")
	b.until("the last word is in the log", func() bool { return strings.HasSuffix(b.out("logs", "web"), "the last word") })
	if n := size(b, filepath.Dir(log)); n > 40<<20 {
		t.Errorf("the logs take %d bytes", n)
	}
}
