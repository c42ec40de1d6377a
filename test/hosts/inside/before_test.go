//go:build inside

package inside

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBeforeInstall puts berth's units in place, for all that follows.
func TestBeforeInstall(t *testing.T) {
	makeTiny(t)
	has(t, run(t, "berth", "doctor"), "containers do not start at boot", "berth install")
	has(t, run(t, "berth", "install"), "made /etc/systemd/system/berth@.service")
	if out := run(t, "berth", "install"); out != "nothing to do" {
		t.Errorf("a second install says %q", out)
	}
	has(t, run(t, "berth", "uninstall"), "removed /etc/systemd/system/berth@.service")
	left, err := filepath.Glob("/etc/systemd/system/*berth*")
	if must(t, err); len(left) > 0 {
		t.Errorf("uninstall left %q", left)
	}
	run(t, "berth", "install")
	uninstalledMeanwhile(t)
	if out := run(t, "systemctl", "is-enabled", "berth-autostart.service"); out != "enabled" {
		t.Errorf("the unit that starts containers at boot is %s", out)
	}
	run(t, "systemd-analyze", "verify", "--man=no", "berth-autostart.service")
}

// uninstalledMeanwhile: a guest that runs is stopped in order by systemd, also
// when berth's units are not installed any more.
func uninstalledMeanwhile(t *testing.T) {
	t.Helper()
	run(t, "berth", "create", "u", "--image", tiny, "--start")
	run(t, "berth", "uninstall")
	if how := run(t, "systemctl", "show", "--value", "--property=KillMode", "berth@u"); how != "mixed" {
		t.Errorf("without installed units its KillMode is %s", how)
	}
	run(t, "systemctl", "stop", "berth@u")
	if s := statusOf(t, "u"); s.State != "stopped" {
		t.Errorf("after systemctl stop: %+v", s)
	}
	run(t, "berth", "install")
	clean(t)
}

// TestBeforeKilled kills each of the units that berth makes.
func TestBeforeKilled(t *testing.T) {
	run(t, "berth", "create", "k", "--image", tiny, "--start")
	for range 3 {
		before := statusOf(t, "k")
		run(t, "systemctl", "kill", "-s", "KILL", "berth@k.service")
		until(t, "it runs again", func() bool {
			s := statusOf(t, "k")
			return s.State == "running" && s.Leader != before.Leader
		})
		// It may be more than one: while what was killed is ending, kernels since
		// 6.14 kill who is started in its group too, and systemd starts it again.
		if s := statusOf(t, "k"); s.Restarts <= before.Restarts {
			t.Errorf("after it was killed: %+v, before %+v", s, before)
		}
	}
	run(t, "berth", "exec", "k", "--", "/bin/true")
	run(t, "berth", "set", "k", "autoStart=true")
	run(t, "berth", "stop", "k")
	run(t, "berth", "set", "k", "environment.TINY=never", "timeoutStartSec=5s")
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = try(t, "systemctl", "restart", "berth-autostart.service") })
	until(t, "it is being started", func() bool { return statusOf(t, "k").State == "starting" })
	_, _ = try(t, "systemctl", "kill", "-s", "KILL", "berth-autostart.service")
	wg.Wait()
	until(t, "who never is ready fails, although nobody waits for it", func() bool { return statusOf(t, "k").State == "failed" })
	has(t, statusOf(t, "k").Reason, "READY=1 within 5s")
	run(t, "berth", "set", "k", "environment.TINY=")
	run(t, "systemctl", "restart", "berth-autostart.service")
	if s := statusOf(t, "k"); s.State != "running" {
		t.Errorf("after berth-autostart.service it is %+v", s)
	}
	clean(t)
}

// clean destroys all containers, and wants nothing to be left.
func clean(t *testing.T) {
	t.Helper()
	run(t, "berth", "destroy", "--all", "--yes")
	has(t, run(t, "berth", "doctor"), "leftovers: none")
	if out := run(t, "systemctl", "list-units", "--all", "--plain", "--no-legend", "berth@*"); out != "" {
		t.Errorf("left behind: %s", out)
	}
	if left, err := os.ReadDir("/run/berth/containers"); err == nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestBeforeMachined disturbs systemd-machined while containers start.
func TestBeforeMachined(t *testing.T) {
	run(t, "berth", "create", "m", "--image", tiny)
	for i := range 6 { // at moments that differ
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 15 * time.Millisecond)
			if i%2 == 0 {
				_, _ = try(t, "systemctl", "restart", "systemd-machined")
			} else {
				_, _ = try(t, "systemctl", "kill", "-s", "KILL", "systemd-machined")
			}
		})
		run(t, "berth", "restart", "m")
		wg.Wait()
		_, _ = try(t, "systemctl", "reset-failed", "systemd-machined")
		run(t, "berth", "exec", "m", "--", "/bin/true")
	}
	for range 5 { // no "already exists"
		run(t, "berth", "restart", "m")
	}
	has(t, run(t, "machinectl", "list", "--no-legend"), "m ")
	has(t, run(t, "machinectl", "status", "m", "--no-pager"), "berth@m.service")

	run(t, "systemctl", "stop", "systemd-machined")
	run(t, "berth", "restart", "m")
	run(t, "systemctl", "mask", "--runtime", "--now", "systemd-machined")
	defer func() { run(t, "systemctl", "unmask", "--runtime", "systemd-machined") }()
	run(t, "berth", "restart", "m")
	run(t, "berth", "exec", "m", "--", "/bin/true")
	clean(t)
}

// TestBeforeForeignMachine: a machine of somebody else is not taken away.
func TestBeforeForeignMachine(t *testing.T) {
	run(t, "systemd-run", "--quiet", "--unit=foreign", "--service-type=notify", "--property=Slice=machine.slice", "--property=Delegate=yes",
		"systemd-nspawn", "--quiet", "--settings=no", "--keep-unit", "--notify-ready=yes", "-D", "/root/tiny", "-M", "f", "--boot")
	run(t, "berth", "create", "f", "--image", tiny)
	out, err := try(t, "berth", "start", "f")
	if err == nil {
		t.Errorf("it started: %s", out)
	}
	has(t, out, "not of berth", "foreign.service")
	run(t, "systemctl", "kill", "-s", "KILL", "foreign.service")
	until(t, "the name is free", func() bool { _, err := try(t, "machinectl", "status", "f"); return err != nil })
	run(t, "berth", "start", "f")
	clean(t)
}

// TestBeforeBus restarts D-Bus under a container that runs, and while one
// starts and stops.
func TestBeforeBus(t *testing.T) {
	run(t, "berth", "create", "d", "--image", tiny, "--start")
	leader := statusOf(t, "d").Leader
	run(t, "systemctl", "restart", "dbus")
	if s := statusOf(t, "d"); s.State != "running" || s.Leader != leader {
		t.Errorf("after D-Bus was restarted: %+v", s)
	}
	for i := range 4 {
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 20 * time.Millisecond)
			_, _ = try(t, "systemctl", "restart", "dbus")
		})
		run(t, "berth", "restart", "d")
		wg.Wait()
	}
	run(t, "berth", "exec", "d", "--", "/bin/true")
	clean(t)
}

// TestBeforeReexec has systemd execute itself again under a container that runs,
// and while one starts and stops: that ends all connections to it.
func TestBeforeReexec(t *testing.T) {
	run(t, "berth", "create", "r", "--image", tiny, "--start")
	leader := statusOf(t, "r").Leader
	run(t, "systemctl", "daemon-reexec")
	if s := statusOf(t, "r"); s.State != "running" || s.Leader != leader {
		t.Errorf("after systemd was executed again: %+v", s)
	}
	for i := range 6 {
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 20 * time.Millisecond)
			_, _ = try(t, "systemctl", "daemon-reexec")
		})
		run(t, "berth", "restart", "r")
		wg.Wait()
	}
	run(t, "berth", "exec", "r", "--", "/bin/true")
	clean(t)
}

// TestBeforeDiskFull: a disk that is full is an error that leaves nothing.
func TestBeforeDiskFull(t *testing.T) {
	const dir = "/root/small"
	must(t, os.MkdirAll(dir, 0o755))
	run(t, "mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", dir)
	defer func() { run(t, "umount", dir) }()
	out, err := try(t, "berth", "--root", dir, "create", "big", "--image", image)
	if err == nil {
		t.Errorf("an image of 200 MB is on a disk of 64: %s", out)
	}
	has(t, out, "not enough free space")
	has(t, run(t, "berth", "--root", dir, "doctor"), "leftovers: none")
	if out := run(t, "berth", "--root", dir, "ls", "-q"); out != "" {
		t.Errorf("there is a container: %s", out)
	}
	var free int
	_, err = fmt.Sscan(strings.Fields(run(t, "df", "--output=avail", "-k", dir))[1], &free)
	if must(t, err); free < 60<<10 {
		t.Errorf("%d KiB are free of 64 MiB", free)
	}
}

// onStop is a unit of a guest that leaves a mark when the guest shuts down.
const onStop = `[Unit]
Description=A mark
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
ExecStop=sh -c "sleep 0.5; echo cleanly >/root/stopped"
[Install]
WantedBy=multi-user.target
`

// TestBeforeBoot makes the containers of examples/hello, and a few more, which
// are to come up when the host does.
func TestBeforeBoot(t *testing.T) {
	run(t, "cp", "-r", "/opt/berth/hello", "/root/hello")
	run(t, "sed", "-i", "s|image: debian:bookworm|image: "+image+"|", "/root/hello/berth.yaml")
	run(t, "berth", "apply", "-f", "/root/hello/berth.yaml", "--yes")
	run(t, "berth", "exec", "db", "--", "sh", "-ec", "printf '%s' '"+onStop+"' >/etc/systemd/system/mark.service; systemctl enable --now mark.service")
	for i := range 8 {
		run(t, "berth", "create", fmt.Sprintf("many-%d", i), "--image", tiny, "autoStart=true")
	}
}
