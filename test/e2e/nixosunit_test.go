//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// unitOfNixos is the unit container@.service of the NixOS module, as far as it
// matters who runs a guest.
const unitOfNixos = `[Service]
Type=notify
Environment=root=%[1]s/var/lib/nixos-containers/%%i BERTH_ROOT=%[1]s
EnvironmentFile=-%[1]s/etc/nixos-containers/%%i.conf
ExecStartPre=-machinectl terminate %%i
ExecStartPre=-ip link del dev ve-%%i
ExecStartPre=/bin/sh -c 'mkdir -p $root/usr/bin $root/etc $root/var/lib $root/root; touch $root/etc/os-release $root/etc/machine-id; mkdir -p %[1]s/nix/var/nix/gcroots/per-container/%%i'
ExecStart=systemd-nspawn --keep-unit -M %%i -D ${root} --private-network --network-veth --notify-ready=yes --kill-signal=SIGRTMIN+3 --bind-ro=/nix/store --bind=%[1]s/nix/var/nix/profiles/per-container/%%i:/nix/var/nix/profiles --bind=%[1]s/nix/var/nix/gcroots/per-container/%%i:/nix/var/nix/gcroots --link-journal=try-guest /nix/var/nix/profiles/system/init
ExecReload=%[2]s run %%i -- sh -c '/nix/var/nix/profiles/system/bin/switch-to-configuration test'
Restart=on-failure
RestartForceExitStatus=133
SuccessExitStatus=133
TimeoutStartSec=1min
Slice=machine.slice
Delegate=true
KillMode=mixed
KillSignal=TERM
`

// TestNixosContainerUnits: containers that units of the host run are left to
// them, until they are adopted, and get back to them.
func TestNixosContainerUnits(t *testing.T) {
	if !underSystemd() {
		return // there are no units
	}
	d := newDropIn(t)
	s := d.builds()
	const unit = "/run/systemd/system/container@.service"
	must(t, os.WriteFile(unit, fmt.Appendf(nil, unitOfNixos, d.root, d.program), 0o644))
	t.Cleanup(func() {
		must(t, os.Remove(unit))
		d.host("systemctl daemon-reload")
	})
	d.host("systemctl daemon-reload")
	const name = "of-nixos"
	service := "container@" + name
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.host("journalctl --no-pager -o short-precise -n 40 -u " + service))
		}
		_ = exec.Command("systemctl", "stop", service).Run()
	})
	active := func(want string) {
		t.Helper()
		out, _ := exec.Command("systemctl", "is-active", service).Output()
		is(t, service, strings.TrimSpace(string(out)), want)
	}
	profile := d.path("nix/var/nix/profiles/per-container", name)
	text := "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.8.1\nLOCAL_ADDRESS=10.233.8.2\nHOST_BRIDGE=\nHOST_PORT=\nAUTO_START=0\n"
	d.host(fmt.Sprintf("umask 022; mkdir -p %[1]s/etc/nixos-containers %[2]s; ln -s %[3]s %[2]s/system-1-link; ln -s system-1-link %[2]s/system", d.root, profile, s.Systems["one"]))
	must(t, os.WriteFile(d.path("etc/nixos-containers", name+".conf"), []byte(text), 0o644))

	d.says(0, "down", "status", name)
	d.says(0, "", "stop", name)
	d.says(1, "", "terminate", name)
	d.says(0, "", "start", name)
	active("active")
	d.fails(3, "status", name) // nothing was taken over
	d.says(0, "up", "status", name)
	d.says(0, name, "list")
	d.says(0, "10.233.8.2", "show-ip", name)
	d.says(0, s.Systems["one"], "run", name, "--", "readlink", "/run/current-system")
	d.says(7, "a b", "run", name, "--", "sh", "-c", `echo "$1"; exit 7`, "x", "a b")
	d.says(0, "", "run", name, "--", "sh", "-c", "echo kept >/root/kept")
	d.says(0, "", "start", name)
	id := strings.TrimSpace(d.nix("run", name, "--", "cat", "/proc/1/stat").out)
	d.says(0, "", "restart", name)
	active("active")
	if again := strings.TrimSpace(d.nix("run", name, "--", "cat", "/proc/1/stat").out); again == id || again == "" {
		t.Errorf("restart: %q, %q", id, again)
	}
	d.says(0, "", "terminate", name)
	d.says(0, "down", "status", name)
	active("inactive")
	d.says(0, "", "start", name)
	d.writeFlake("first")
	d.has(d.says(0, "", "update", name, "--flake", ".#web").err, "reloading container...\n")
	d.says(0, "first", "run", name, "--", "cat", "/etc/from")
	active("active")

	r := d.run("adopt", name, "--yes") // while it runs
	d.has(r.err, name+": adopted")
	active("inactive")
	d.says(0, "up", "status", name)
	d.state(name, "running")
	d.says(0, "kept", "run", name, "--", "cat", "/root/kept")
	is(t, "address", d.in(name, "ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4"), "10.233.8.2/32")
	d.says(0, "", "restart", name)
	active("inactive")
	d.run("adopt", "--undo", name, "--yes")
	d.says(0, "down", "status", name)
	d.says(0, "", "start", name)
	active("active")
	d.says(0, "kept", "run", name, "--", "cat", "/root/kept")
	d.fails(3, "status", name)
	d.says(0, "", "destroy", name)
	active("inactive")
	d.missing(name)
}
