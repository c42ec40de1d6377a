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

// initGuest is a guest whose init is not systemd. Its service mark, once there
// is one, adds a line to /var/mark when it is started and when it is stopped.
type initGuest struct {
	name    string
	image   func(*berth) string
	install string   // a script that installs the service mark
	console string   // what the console shows when it boots
	off     []string // commands that power it off and reboot it
	reboot  []string
}

const (
	markScript = `cat >/etc/init.d/mark <<'EOF'
#!/bin/sh
### BEGIN INIT INFO
# Provides: mark
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: leaves a mark
### END INIT INFO
echo "$1" >>/var/mark
EOF
chmod 755 /etc/init.d/mark
update-rc.d mark defaults
`
	// busyboxTable is an /etc/inittab as busybox's init reads it.
	busyboxTable = `::sysinit:/bin/echo busybox: hello
::sysinit:/bin/sh -c 'echo start >>/var/mark'
::respawn:/bin/sleep 1000
::shutdown:/bin/sh -c 'echo stop >>/var/mark'
`
	// bareInit is an init that knows nothing but SIGTERM.
	bareInit = `#!/bin/sh
trap 'echo stop >>/var/mark; poweroff -f' TERM
echo start >>/var/mark
echo "bare: hello"
while :; do sleep 1000 & wait; done
`
)

func initGuests() []initGuest {
	off, reboot := []string{"poweroff"}, []string{"reboot"}
	return []initGuest{
		{"sysvinit", fromRecipe("sysvinit"), markScript, "Entering runlevel: 2", off, reboot},
		{"openrc", fromRecipe("openrc"), markScript, "is starting up", off, reboot},
		{"openrc-init", fromRecipe("openrc"), markScript + "ln -sf openrc-init /sbin/init\n", "Starting default runlevel",
			[]string{"openrc-shutdown", "-p", "now"}, []string{"openrc-shutdown", "-r", "now"}},
		{"runit", fromRecipe("runit"), markScript, "enter stage: /etc/runit/2", off, reboot},
		{"busybox", (*berth).busyboxTree, "", "busybox: hello", off, reboot},
		{"bare", (*berth).bareTree, "", "bare: hello", []string{"poweroff", "-f"}, []string{"reboot", "-f"}},
	}
}

func fromRecipe(name string) func(*berth) string {
	return func(*berth) string { return "tar:" + initImage(name) }
}

// busyboxTree is a tree that has nothing but busybox.
func (b *berth) busyboxTree() string {
	b.Helper()
	tree := filepath.Join(b.work, "busybox")
	for _, d := range []string{"bin", "sbin", "var", "tmp", "root", "proc", "sys", "dev", "run"} {
		must(b, os.MkdirAll(filepath.Join(tree, d), 0o755))
	}
	must(b, command(b.Context(), "tar", "-C", filepath.Join(tree, "bin"), "--strip-components=3", "-xf", initImage("sysvinit"), "./usr/bin/busybox"))
	for _, name := range []string{"sh", "echo", "sleep", "cat", "poweroff", "reboot", "true"} {
		must(b, os.Symlink("busybox", filepath.Join(tree, "bin", name)))
	}
	must(b, os.Symlink("/bin/busybox", filepath.Join(tree, "sbin/init")))
	b.file("busybox/etc/inittab", busyboxTable)
	b.file("busybox/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	return "dir:" + tree
}

// bareTree is the same with a script as its init.
func (b *berth) bareTree() string {
	b.Helper()
	tree := b.busyboxTree()
	must(b, os.Remove(filepath.Join(b.work, "busybox/sbin/init")))
	must(b, os.Chmod(b.file("busybox/sbin/init", bareInit), 0o755))
	return tree
}

// marks are the lines that the service mark has left.
func (b *berth) marks(name string) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(b.root, "var/lib/berth/containers", name, "changes/upper/var/mark"))
	if !os.IsNotExist(err) {
		must(b, err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// marked waits until the last line of the service mark is want.
func (b *berth) marked(name, want string) {
	b.Helper()
	b.until(fmt.Sprintf("the service of %s left %q", name, want), func() bool { return strings.HasSuffix(b.marks(name), want) })
}

// TestInits: guests start, stop, exec and log, whatever their init is.
func TestInits(t *testing.T) {
	t.Parallel()
	for _, g := range initGuests() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			b := newBerth(t).ownImages()
			b.run("create", "k", "--image", g.image(b), "--start")
			b.state("k", "running")
			if g.install != "" {
				b.in("k", g.install)
				b.run("restart", "k")
			}
			b.marked("k", "start")
			is(t, "exec", b.in("k", "echo alive"), "alive")
			is(t, "exit code", b.try("exec", "k", "--", "/bin/sh", "-c", "exit 7").code, 7)
			b.until("the console is in the log", func() bool { return strings.Contains(b.out("logs", "k"), g.console) })

			b.stopsInOrder("k")
			b.run("start", "k")
			b.run("stop", "k", "--timeout", "60s") // which may have to wait until the init listens
			b.state("k", "stopped")
			b.initEnds(g)
		})
	}
}

// stopsInOrder stops a guest whose service mark is started.
func (b *berth) stopsInOrder(name string) {
	b.Helper()
	if r := b.run("stop", name, "--timeout", "60s"); r.took > 45*time.Second {
		b.Errorf("it was killed: %v", r)
	}
	b.state(name, "stopped")
	if m := b.marks(name); !strings.HasSuffix(m, "stop") {
		b.Errorf("its service was not stopped: it left %q\n%s", m, b.out("logs", name))
	}
}

// initEnds has a guest end itself in all ways.
func (b *berth) initEnds(g initGuest) {
	b.Helper()
	starts := func() int { return strings.Count(b.marks("k"), "start") }
	start := func() {
		b.Helper()
		before := starts()
		b.run("start", "k")
		b.until("it has booted", func() bool { return starts() > before })
	}
	start()
	before, booted := b.status("k"), starts()
	b.try(append([]string{"exec", "k", "--"}, g.reboot...)...) // the guest may end before the command
	b.until("it is back", func() bool {
		s := b.status("k")
		return s.State == "running" && s.Leader != before.Leader && s.Leader != 0 && starts() > booted
	})
	is(b, "restarts", b.status("k").Restarts, 0)

	b.try(append([]string{"exec", "k", "--"}, g.off...)...)
	b.run("wait", "k", "--for=stopped")
	is(b, "reason", b.status("k").Reason, "")

	start()
	if r := b.run("terminate", "k"); r.took > 10*time.Second {
		b.Errorf("terminate took %v", r.took)
	}
	b.state("k", "stopped")
}

// TestShimKilledInits: without its shim too a guest is asked to shut down as
// its init wants to be asked.
func TestShimKilledInits(t *testing.T) {
	t.Parallel()
	b := newBerth(t).ownImages()
	b.run("create", "k", "--image", fromRecipe("sysvinit")(b), "--start")
	b.in("k", markScript)
	b.run("restart", "k")
	b.marked("k", "start")
	if !underSystemd() { // where there is no shim
		must(t, syscall.Kill(b.process("shim", "k"), syscall.SIGKILL))
		b.until("the shim is gone", func() bool { return b.status("k").State == "unsupervised" })
	}
	b.stopsInOrder("k")
}

// TestOfflineUpdate: a guest that installs an update before it is ready, and
// reboots then, is not killed half-way.
func TestOfflineUpdate(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "timeoutStartSec=20s", "--start")
	b.in("web", `cat >/etc/systemd/system/big-update.service <<'EOF'
[Unit]
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target system-update-pre.target
Before=system-update.target
SuccessAction=reboot
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo begun >/var/update; sleep 23; rm /system-update; echo done >>/var/update'
EOF
mkdir -p /etc/systemd/system/system-update.target.wants
ln -s ../big-update.service /etc/systemd/system/system-update.target.wants/
ln -s /var/lib/no-such-update /system-update`)
	b.run("stop", "web")

	ended := make(chan result, 1)
	go func() { ended <- b.try("start", "web") }()
	b.until("the update has begun", func() bool { return strings.Contains(b.out("why", "web"), "installs an update") })
	b.until("why names what it waits for", func() bool { return strings.Contains(b.out("why", "web"), "big-update.service") })
	r := <-ended
	if r.code != 0 || r.took < 23*time.Second {
		t.Fatalf("start: %v", r)
	}
	is(t, "update", b.in("web", "cat /var/update"), "begun\ndone")
	is(t, "restarts", b.status("web").Restarts, 0)
	is(t, "system", b.in("web", "systemctl is-system-running --wait"), "running")
	if why := b.out("why", "web"); strings.Contains(why, "update") {
		t.Errorf("the update is over: %s", why)
	}
}
