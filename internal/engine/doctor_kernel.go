package engine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/namespace"
)

func (e *Engine) checkKernel() []container.Finding {
	v, err := e.probe.Kernel()
	if err != nil {
		return finding("kernel", container.Bad, err.Error(), "")
	}
	missing, err := e.probe.Lacks()
	if err != nil {
		return finding("kernel", container.Bad, err.Error(), "")
	}
	var out []container.Finding
	for _, f := range missing {
		severity, text := container.Warn, fmt.Sprintf("Linux %v has no %s: %s", v, f.Name, f.Without)
		if f.Needed {
			severity, text = container.Bad, fmt.Sprintf("Linux %v has no %s", v, f.Name)
		}
		out = append(out, container.Finding{Check: "kernel", Severity: severity, Text: text, Remedy: fmt.Sprintf("use Linux %v or later", f.Since)})
	}
	if out == nil {
		return finding("kernel", container.Good, "Linux "+v.String(), "")
	}
	return out
}

// checkParts tries what a kernel may have been built without.
func checkParts() []container.Finding { return findingsOf(host.Parts()) }

func findingsOf(parts []host.Part) []container.Finding {
	var out []container.Finding
	var good []string
	for _, p := range parts {
		if err := p.Try(); err != nil {
			out = append(out, container.Finding{Check: "kernel", Severity: container.Bad, Text: fmt.Sprintf("no %s: %v", p.Name, err), Remedy: p.Remedy})
			continue
		}
		good = append(good, p.Name)
	}
	if len(good) > 0 {
		out = append(out, container.Finding{Check: "kernel", Severity: container.Good, Text: strings.Join(good, ", ")})
	}
	return out
}

// checkUserNamespaces makes one.
func checkUserNamespaces() []container.Finding {
	ns, err := namespace.NewUser(namespace.Extent{Inside: 0, Outside: firstBase, Count: container.IDRange})
	if err == nil {
		ns.Close()
		return finding("user namespaces", container.Good, "they can be made", "")
	}
	remedy := "let this process make user namespaces: what this machine runs in may forbid it"
	if errors.Is(err, unix.ENOSPC) {
		remedy = "sysctl user.max_user_namespaces=65536"
	}
	return finding("user namespaces", container.Bad, err.Error()+"; only containers with privateUsers: no start", remedy)
}

func (e *Engine) checkCgroups() []container.Finding {
	h, err := cgroup.Mounted()
	if err != nil {
		return finding("cgroups", container.Bad, err.Error(), "mount cgroup2 on /sys/fs/cgroup")
	}
	text := h.Mode() + ", with " + strings.Join(h.Controllers(), ", ")
	if len(h.Controllers()) == 0 {
		text = h.Mode() + ", without controllers"
	}
	if lacks := h.Lacks(); len(lacks) > 0 {
		return finding("cgroups", container.Warn, fmt.Sprintf("%s: limits.%s have no effect", text, strings.Join(lacks, ", limits.")),
			"boot with cgroup v2 and its controllers (systemd.unified_cgroup_hierarchy=1, cgroup_enable=memory), or do without these limits")
	}
	return finding("cgroups", container.Good, text, "")
}

func (e *Engine) checkInotify() []container.Finding {
	const file = "/proc/sys/fs/inotify/max_user_instances"
	b, err := os.ReadFile(file)
	if err != nil {
		return finding("inotify", container.Warn, err.Error(), "")
	}
	limit, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	if unix.Access(file, unix.W_OK) != nil && limit < 1024 {
		return finding("inotify", container.Warn, fmt.Sprintf("%s is %d and cannot be raised from here: about %d guests fit", file, limit, limit/8),
			"sysctl fs.inotify.max_user_instances=8192 on the machine itself")
	}
	return finding("inotify", container.Good, fmt.Sprintf("%d instances, raised while more are needed", limit), "")
}
