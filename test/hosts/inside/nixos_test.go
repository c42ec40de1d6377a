//go:build inside

package inside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-containers/berth/test/mini-nixos"
)

// TestBeforeNixosContainer goes through what walkthroughs of nixos-container and
// of machinectl do with systemd's own tools.
func TestBeforeNixosContainer(t *testing.T) {
	s, err := mininixos.Install(t.Context(), "/var/cache/berth-test")
	must(t, err)
	t.Setenv("PATH", os.Getenv("PATH")+":"+s.Nix)
	const program = "/usr/local/bin/nixos-container"
	must(t, os.Symlink("/usr/local/bin/berth", program))
	t.Cleanup(func() { must(t, os.Remove(program)) })
	for _, n := range []string{"site", "mdbook-host"} {
		run(t, "nixos-container", "create", n, "--system-path", s.Systems["one"])
		run(t, "nixos-container", "start", n)
	}
	is := func(n, want string) {
		t.Helper()
		out, _ := try(t, "nixos-container", "status", n)
		if out, _, _ := strings.Cut(out, "\n"); out != want { // the error is behind it
			t.Errorf("%s is %s, not %s", n, out, want)
		}
	}
	for _, n := range []string{"site", "mdbook-host"} {
		unit := "container@" + n
		has(t, run(t, "systemctl", "status", "--no-pager", unit), "berth@"+n+".service", "Active: active (running)")
		has(t, run(t, "journalctl", "--no-pager", "-u", unit), "Multi-User System")
		before := statusOf(t, n)
		run(t, "systemctl", "restart", unit)
		if s := statusOf(t, n); s.State != "running" || s.Leader == before.Leader {
			t.Errorf("after systemctl restart %s: %+v", unit, s)
		}
		run(t, "systemctl", "stop", unit)
		is(n, "down")
		run(t, "systemctl", "start", unit)
		is(n, "up")
		run(t, "nixos-container", "restart", n) // and not by the unit of somebody else
		is(n, "up")
	}
	asMachine(t, "site")
	is("site", "down")
	run(t, "nixos-container", "destroy", "mdbook-host")
	is("mdbook-host", "gone")

	// A container that is not of NixOS has a name of its own alone.
	run(t, "berth", "create", "plain", "--image", tiny, "--start")
	if out := run(t, "journalctl", "--no-pager", "--quiet", "-u", "container@plain"); out != "" {
		t.Errorf("as one of NixOS it has logged %s", out)
	}
	run(t, "berth", "destroy", "--yes", "plain", "site")
	for _, n := range []string{"site", "mdbook-host"} {
		if left, _ := filepath.Glob("/etc/systemd/system/*@" + n + "*"); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

// asMachine handles a running container as machinectl does a machine, and leaves
// it stopped.
func asMachine(t *testing.T, n string) {
	t.Helper()
	must(t, os.WriteFile("/root/copied", []byte("there and back\n"), 0o644))
	run(t, "machinectl", "copy-to", n, "/root/copied", "/root/copied")
	run(t, "machinectl", "copy-from", n, "/root/copied", "/root/back")
	if b, err := os.ReadFile("/root/back"); string(b) != "there and back\n" {
		t.Errorf("copied there and back: %q, %v", b, err)
	}
	run(t, "berth", "exec", n, "--", "systemctl", "start", "dbus") // as is done at boot elsewhere
	has(t, run(t, "machinectl", "shell", n, "/run/current-system/sw/bin/id"), "uid=0(root)")
	has(t, run(t, "systemd-run", "-M", n, "--wait", "--pipe", "--quiet", "/run/current-system/sw/bin/id"), "uid=0(root)")
	for _, how := range []string{"reboot", "stop", "terminate"} {
		before := statusOf(t, n)
		run(t, "machinectl", how, n)
		if how == "reboot" {
			until(t, "it is up again", func() bool { s := statusOf(t, n); return s.State == "running" && s.Leader != before.Leader })
			continue
		}
		until(t, "it is down", func() bool { return statusOf(t, n).State == "stopped" })
		if how == "stop" {
			run(t, "nixos-container", "start", n)
		}
	}
}
