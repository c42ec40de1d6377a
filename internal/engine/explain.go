package engine

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/supervise"
)

// Explain says for every key, in the order of the manual, what this host makes
// of it.
func (e *Engine) Explain() ([]container.Explanation, error) {
	program, err := e.probe.Nspawn()
	if err != nil {
		return nil, err
	}
	lacks, err := e.probe.Lacks()
	if err != nil {
		return nil, err
	}
	var out []container.Explanation
	for _, k := range container.Keys() {
		x := container.Explanation{Key: k.Name, Type: k.Type, Default: k.Default, Effect: k.Effect, Doc: k.Doc}
		e.explain(&x, k, program.Version)
		x.Notes = append(x.Notes, e.notes(k.Name, lacks)...)
		out = append(out, x)
	}
	return out, nil
}

// explain says who does on this host what a key wants.
func (e *Engine) explain(x *container.Explanation, k container.Key, version int) {
	if !k.Live {
		x.Support, x.By = container.Missing, "berth does not do it yet: a declaration with it is refused"
		return
	}
	if k.Name == "extraFlags" {
		x.Support, x.By = container.Native, "systemd-nspawn, which gets them as they are"
		return
	}
	if k.Name == "limits" && len(e.cgroups.Lacks()) == len(limitKeys()) {
		x.Support, x.By = container.Missing, "this host's cgroups can hold no limit"
		return
	}
	var by []string
	for _, o := range nspawn.OptionsOf(k.Name) {
		if !o.In(version) {
			x.Support, x.By, x.Since = container.Missing, fmt.Sprintf("systemd-nspawn %d has no %s", version, o.Name), o.Since
			return
		}
		by, x.Since = append(by, o.Name), max(x.Since, o.Since)
	}
	if len(by) > 0 {
		by = []string{strings.Join(by, ", ") + " of systemd-nspawn"}
	}
	if c, ok := e.carried(k.Name); ok {
		by, x.Since = append(by, c.By), max(x.Since, c.Since)
	}
	x.Support, x.By = container.Native, strings.Join(by, "; ")
	if len(by) == 0 {
		x.Support, x.By = container.Emulated, cmp.Or(ownWays()[k.Name], "berth itself")
	}
}

// carried is what the supervisor has systemd do for a key.
func (e *Engine) carried(key string) (supervise.Carried, bool) {
	c, ok := e.supervisor.(supervise.Native)
	if !ok {
		return supervise.Carried{}, false
	}
	return c.Carries(key)
}

// ownWays are how berth does what no systemd does for it.
func ownWays() map[string]string {
	return map[string]string{
		"image":            "berth itself: the image is stored once, and each root is an overlay on it",
		"system":           "berth itself: the closure is one read-only mount, whose packages are looked up in the host's store",
		"storeAccess":      "berth itself, when it mounts the store",
		"nixInGuest":       "berth itself: the host's socket, or an overlay on the closure and, before the guest's init, the guest's own nix-store",
		"root":             "berth itself, when it mounts the guest's root",
		"autoStart":        "berth itself, when it applies, and at boot with berth start --autostart",
		"ephemeral":        "berth itself: changes are kept in memory",
		"restartIfChanged": "berth itself, when it applies",
		"timeoutStartSec":  "berth's shim, which waits for READY=1",
		"dependsOn":        "berth itself, when it starts and stops containers",
		"limits":           "berth itself, in the container's cgroup",
		"labels":           "berth itself",
		"networks":         ownBridge,
		"zone":             ownBridge,
		"hostBridge":       ownLink,
		"hostAddress":      ownLink,
		"localAddress":     ownLink,
		"hostAddress6":     ownLink,
		"localAddress6":    ownLink,
		"localMacAddress":  ownLink,
		"interfaces":       "berth itself: the interface goes straight into the guest, and comes back",
		"macvlans":         "berth itself: it is made in the guest's network namespace",
		"extraVeths":       ownLink,
		"forwardPorts":     "berth itself, by maps of its own nftables tables; on [::1] by a proxy",
		"aliases":          "berth itself: berth names answers the guests' questions",
		"allowHost":        "berth itself, by its own nftables tables",
		"ingress":          "berth itself: berth ingress answers on ports 80 and 443",
	}
}

const (
	ownBridge = "berth itself: a bridge of its own, NAT by nftables, names by berth names"
	ownLink   = "berth itself: the link is complete on both sides before the guest's init runs"
)

func limitKeys() []string { return []string{"memoryMax", "cpuQuota", "tasksMax", "ioWeight"} }

// notes are what a key goes without, or gets besides, on this host.
func (e *Engine) notes(key string, lacks []host.Feature) []string {
	var out []string
	switch key {
	case "bindMounts":
		out = append(out, "berth maps the owners itself, before systemd-nspawn sees the mount")
	case "allowedDevices", "enableTun":
		if _, ok := e.carried("allowedDevices"); !ok {
			out = append(out, "berth itself lets the container's cgroup use the node")
		}
	case "credentials":
		if _, ok := e.carried("credentials"); !ok {
			out = append(out, "no encrypted: systemd, which could decrypt it, is not PID 1 here")
		}
	case "limits":
		if l := e.cgroups.Lacks(); len(l) > 0 {
			out = append(out, fmt.Sprintf("no %s: this host's cgroups (%s) cannot hold it", strings.Join(l, ", "), e.cgroups.Mode()))
		}
	case "autoStart":
		i, ok := e.supervisor.(supervise.Installer)
		if !ok || !i.Installed() {
			out = append(out, "nothing on this host starts containers at boot; berth doctor says what to do")
		}
	case "privateUsers", "image", "system":
		for _, f := range lacks {
			if f.Without != "" {
				out = append(out, fmt.Sprintf("this kernel has no %v: %s", f, f.Without))
			}
		}
	}
	return out
}
