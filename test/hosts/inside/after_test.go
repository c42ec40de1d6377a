//go:build inside

package inside

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestAfterBoot: the containers came up by themselves, in their order, after a
// clean shutdown.
func TestAfterBoot(t *testing.T) {
	run(t, "systemctl", "is-active", "berth-autostart.service")
	for i := range 8 {
		name := fmt.Sprintf("many-%d", i)
		if s := statusOf(t, name); s.State != "running" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if out := run(t, "berth", "exec", "db", "--", "cat", "/root/stopped"); out != "cleanly" {
		t.Errorf("db was stopped %q", out)
	}
	ready, begun := usec(t, "db", "ActiveEnterTimestampMonotonic"), usec(t, "web", "InactiveExitTimestampMonotonic")
	if ready == 0 || ready > begun {
		t.Errorf("db was ready at %d us, and web, which depends on it, begun at %d", ready, begun)
	}
}

// usec is a time of a container's unit.
func usec(t *testing.T, name, property string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(run(t, "systemctl", "show", "--value", "--property="+property, "berth@"+name), 10, 64)
	must(t, err)
	return v
}

// TestAfterTools: the tools of systemd work on the container of examples/hello.
func TestAfterTools(t *testing.T) {
	until(t, "web is up", func() bool { out, _ := try(t, "systemctl", "-M", "web", "is-system-running"); return out == "running" })
	run(t, "machinectl", "shell", "web", "/bin/true")
	has(t, run(t, "journalctl", "-M", "web", "--no-pager"), "systemd")
	has(t, run(t, "machinectl", "status", "--no-pager", "web"), "berth@web.service", "web.service")
	has(t, run(t, "machinectl", "list", "--no-legend"), "web", "db", "many-7")
	has(t, run(t, "loginctl", "list-sessions", "--no-legend", "--no-pager")+"ok", "ok")
	has(t, run(t, "systemd-cgls", "--no-pager", "-M", "web"), "web.service")
}

// TestAfterLimits: limits are properties of the unit, and change while it runs.
func TestAfterLimits(t *testing.T) {
	property := func(name string) string {
		return run(t, "systemctl", "show", "--value", "--property="+name, "berth@db")
	}
	if v := property("MemoryMax"); v != "536870912" {
		t.Errorf("MemoryMax is %s", v)
	}
	leader := statusOf(t, "db").Leader
	run(t, "berth", "set", "db", "limits.memoryMax=256M", "limits.cpuQuota=50%", "--adopt")
	if m, q := property("MemoryMax"), property("CPUQuotaPerSecUSec"); m != "268435456" || q != "500ms" {
		t.Errorf("MemoryMax is %s, CPUQuotaPerSecUSec %s", m, q)
	}
	run(t, "systemctl", "daemon-reload")
	if m, s := property("MemoryMax"), statusOf(t, "db"); m != "268435456" || s.Leader != leader {
		t.Errorf("after daemon-reload: MemoryMax is %s, %+v", m, s)
	}
	run(t, "berth", "stop", "db")
	run(t, "berth", "set", "db", "limits.memoryMax=", "limits.cpuQuota=25%")
	run(t, "systemctl", "start", "berth@db")
	if m, q := property("MemoryMax"), property("CPUQuotaPerSecUSec"); m != "infinity" || q != "250ms" {
		t.Errorf("after a change while it was stopped: MemoryMax is %s, CPUQuotaPerSecUSec %s", m, q)
	}
	run(t, "berth", "create", "never-started", "--image", tiny, "limits.tasksMax=77")
	run(t, "systemctl", "start", "berth@never-started")
	if n := run(t, "systemctl", "show", "--value", "--property=TasksMax", "berth@never-started"); n != "77" {
		t.Errorf("of one that berth has never started: TasksMax is %s", n)
	}
	run(t, "berth", "destroy", "never-started", "--yes")
}

// TestAfterCredentials: secrets come to the guest, encrypted ones too, and are
// seen nowhere else.
func TestAfterCredentials(t *testing.T) {
	const secret = "hunter2 is secret"
	must(t, os.WriteFile("/root/plain", []byte(secret), 0o600))
	run(t, "systemd-creds", "encrypt", "--name=locked", "/root/plain", "/root/locked")
	run(t, "berth", "create", "c", "--image", image, "--start",
		"credentials=[{id: open, path: /root/plain}, {id: locked, path: /root/locked, encrypted: true}]")
	for _, id := range []string{"open", "locked"} {
		got := run(t, "berth", "exec", "c", "--", "systemd-run", "--quiet", "--wait", "--pipe", "--property=LoadCredential="+id,
			"sh", "-c", "cat $CREDENTIALS_DIRECTORY/"+id)
		if got != secret {
			t.Errorf("the credential %s is %q", id, got)
		}
	}
	nspawn := run(t, "systemctl", "show", "--value", "--property=MainPID", "berth@c")
	seen := run(t, "cat", "/proc/"+nspawn+"/cmdline", "/proc/"+nspawn+"/environ") + run(t, "journalctl", "--no-pager", "-u", "berth@c") +
		run(t, "berth", "show", "c") + run(t, "systemctl", "cat", "berth@c")
	if strings.Contains(seen, secret) {
		t.Error("the secret is to be seen outside the guest")
	}
	must(t, os.WriteFile("/root/locked", []byte("no such thing"), 0o600))
	out, err := try(t, "berth", "restart", "c")
	if err == nil {
		t.Errorf("it started: %s", out)
	}
	has(t, out, "systemd could not load its credentials")
	run(t, "berth", "destroy", "c", "--yes")
}

// TestAfterUpdate: a guest that upgrades itself while it boots takes its time,
// and comes back.
func TestAfterUpdate(t *testing.T) {
	run(t, "berth", "create", "u", "--image", image, "--start", "timeoutStartSec=4s")
	run(t, "berth", "exec", "u", "--", "sh", "-ec", "printf '%s' '"+upgrade+"' >/etc/systemd/system/upgrade.service; "+
		"mkdir /etc/systemd/system/system-update.target.wants; "+
		"ln -s ../upgrade.service /etc/systemd/system/system-update.target.wants/; ln -s /root /system-update")
	run(t, "berth", "restart", "u")
	if out := run(t, "berth", "exec", "u", "--", "sh", "-c", "cat /root/upgraded; ls -d /system-update || true"); !strings.HasPrefix(out, "whole") {
		t.Errorf("the upgrade was %q", out)
	}
	if s := statusOf(t, "u"); s.Restarts != 0 {
		t.Errorf("an upgrade counts as a failure: %+v", s)
	}
	run(t, "berth", "destroy", "u", "--yes")
}

// upgrade is a unit as systemd.offline-updates(7) wants it.
const upgrade = `[Unit]
Description=An upgrade
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target
Before=shutdown.target system-update.target
[Service]
Type=oneshot
ExecStart=rm /system-update
ExecStart=sleep 8
ExecStart=sh -c "echo whole >/root/upgraded"
ExecStart=systemctl --no-block reboot
`

// TestAfterNoProcess: beside the guests no process of berth is there.
func TestAfterNoProcess(t *testing.T) {
	if out, err := try(t, "pgrep", "-a", "-x", "berth"); err == nil {
		t.Errorf("berth runs:\n%s", out)
	}
}

// TestAfterEnd: all of it can be removed.
func TestAfterEnd(t *testing.T) {
	clean(t)
	run(t, "berth", "uninstall")
}
