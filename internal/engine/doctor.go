package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/supervise"
)

// Doctor checks whether this host can run containers, and whether something
// was left behind.
func (e *Engine) Doctor(ctx context.Context) []container.Finding {
	a := e.aroundNow()
	checks := []func() []container.Finding{
		e.checkUser, e.checkKernel, checkParts, checkUserNamespaces, e.checkCgroups,
		e.checkNspawn, e.checkInit, func() []container.Finding { return e.checkMachined(ctx) },
		e.checkFileSystem, e.checkMapping, e.checkInotify,
		func() []container.Finding { return e.checkFirewall(ctx) }, e.checkForwarding, e.checkFloods,
		func() []container.Finding { return e.checkManagers(ctx) }, func() []container.Finding { return e.checkPorts(a) }, e.checkNames, e.checkIngress, e.checkBootstrap,
		func() []container.Finding { return e.checkContainers(a) }, e.checkLeftovers,
	}
	var out []container.Finding
	for _, c := range checks {
		out = append(out, c()...)
	}
	return out
}

func finding(check string, s container.Severity, text, remedy string) []container.Finding {
	return []container.Finding{{Check: check, Severity: s, Text: text, Remedy: remedy}}
}

func (e *Engine) checkUser() []container.Finding {
	if os.Geteuid() != 0 {
		return finding("user", container.Bad, "this is not root", "run berth as root, for example with sudo")
	}
	return finding("user", container.Good, "root", "")
}

func (e *Engine) checkNspawn() []container.Finding {
	p, err := e.probe.Nspawn()
	if err != nil {
		var known *container.Error
		remedy := ""
		if errors.As(err, &known) {
			remedy = known.Hint
		}
		return finding("systemd-nspawn", container.Bad, err.Error(), remedy)
	}
	return finding("systemd-nspawn", container.Good, fmt.Sprintf("%s, version %d", p.Path, p.Version), "")
}

func (e *Engine) checkInit() []container.Finding {
	i, ok := e.supervisor.(supervise.Installer)
	switch {
	case !ok && e.probe.SystemdRuns():
		return finding("supervisor", container.Warn, "embedded, although PID 1 is systemd: containers do not start at boot, and machinectl does not show them",
			"leave BERTH_SUPERVISOR out of the environment")
	case !ok:
		return finding("supervisor", container.Good, "embedded: PID 1 is not systemd", "")
	case !i.Installed() && e.Paths.Root == "/":
		return finding("supervisor", container.Warn, "systemd; containers do not start at boot", "berth install makes them do so")
	}
	var out []container.Finding
	if i, ok := i.(supervise.Inspector); ok {
		for _, text := range i.Unfit() {
			out = append(out, container.Finding{Check: "supervisor", Severity: container.Warn, Text: text, Remedy: "berth uninstall && berth install"})
		}
	}
	if out == nil {
		return finding("supervisor", container.Good, "systemd", "")
	}
	return out
}

// checkMachined asks whether machinectl and its like can see guests.
func (e *Engine) checkMachined(ctx context.Context) []container.Finding {
	const check, loss = "machined", ": machinectl and systemctl -M do not see guests; everything else works"
	r, ok := e.supervisor.(supervise.Native)
	if !ok {
		return finding(check, container.Good, "not used: the embedded supervisor registers no guests", "")
	}
	load, active, err := r.Machined(ctx)
	switch {
	case err != nil:
		return finding(check, container.Warn, err.Error(), "")
	case load == "not-found":
		return finding(check, container.Warn, "systemd-machined is not installed"+loss, "install it: apt install systemd-container (Debian, Ubuntu), dnf install systemd-container (Fedora)")
	case load != "loaded":
		return finding(check, container.Warn, "systemd-machined is "+load+loss, "systemctl unmask systemd-machined.service")
	case active != "active":
		return finding(check, container.Good, "systemd-machined, which starts with the first guest", "")
	}
	return finding(check, container.Good, "systemd-machined runs", "")
}

func (e *Engine) checkBootstrap() []container.Finding {
	for _, tool := range []string{"mmdebstrap", "debootstrap"} {
		if p, err := exec.LookPath(tool); err == nil {
			return finding("bootstrap", container.Good, p, "")
		}
	}
	return finding("bootstrap", container.Warn, "neither mmdebstrap nor debootstrap is installed: images debian:SUITE cannot be made",
		"install one: apt install mmdebstrap")
}

func (e *Engine) checkLeftovers() []container.Finding {
	var out []container.Finding
	for _, l := range e.leftovers() {
		out = append(out, container.Finding{Check: "leftovers", Severity: container.Warn, Text: l.what, Remedy: "berth doctor --fix removes it"})
	}
	if out == nil {
		return finding("leftovers", container.Good, "none", "")
	}
	return out
}
