package engine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/supervise"
)

// Doctor checks whether this host can run containers, and whether something
// was left behind.
func (e *Engine) Doctor() []container.Finding {
	checks := []func() []container.Finding{
		e.checkUser, e.checkKernel, e.checkNspawn, e.checkInit, e.checkCgroups, e.checkFileSystem,
		e.checkInotify, e.checkBootstrap, e.checkContainers, e.checkLeftovers,
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

func (e *Engine) checkKernel() []container.Finding {
	v, err := e.probe.Kernel()
	switch {
	case err != nil:
		return finding("kernel", container.Bad, err.Error(), "")
	case !v.AtLeast(5, 15):
		return finding("kernel", container.Bad, "Linux "+v.String(), "use Linux 5.15 or later")
	case !v.AtLeast(5, 19):
		return finding("kernel", container.Warn, "Linux "+v.String()+": the first start of a container changes the owner of each file of its image", "use Linux 5.19 or later")
	}
	return finding("kernel", container.Good, "Linux "+v.String(), "")
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
	return finding("supervisor", container.Good, "systemd", "")
}

func (e *Engine) checkCgroups() []container.Finding {
	h, err := cgroup.Mounted()
	if err != nil {
		return finding("cgroups", container.Bad, err.Error(), "mount cgroup2 on /sys/fs/cgroup")
	}
	have := h.Controllers()
	var missing []string
	for _, c := range []string{"memory", "cpu", "pids"} {
		if !slices.Contains(have, c) {
			missing = append(missing, c)
		}
	}
	text := h.Mode() + ", with " + strings.Join(have, ", ")
	if len(missing) > 0 {
		return finding("cgroups", container.Warn, text, "limits that need the controllers "+strings.Join(missing, ", ")+" have no effect")
	}
	return finding("cgroups", container.Good, text, "")
}

// File systems on which an overlay cannot keep changes; see statfs(2).
var unfit = map[int64]string{unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "NFS", 0x01021997: "9p"}

func (e *Engine) checkFileSystem() []container.Finding {
	dir := e.Paths.Containers()
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return finding("storage", container.Bad, fmt.Sprintf("%s: %v", dir, err), "")
	}
	if name, bad := unfit[int64(st.Type)]; bad {
		return finding("storage", container.Bad, fmt.Sprintf("%s is on %s, which cannot hold containers", dir, name),
			"put berth on another file system: mount one there, or use --root")
	}
	free := st.Bavail * uint64(st.Bsize) >> 20
	if free < 1024 {
		return finding("storage", container.Warn, fmt.Sprintf("%s has %d MiB free", dir, free), "make room: berth image prune removes images that no container uses")
	}
	return finding("storage", container.Good, fmt.Sprintf("%s, %d MiB free", dir, free), "")
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

func (e *Engine) checkBootstrap() []container.Finding {
	for _, tool := range []string{"mmdebstrap", "debootstrap"} {
		if p, err := exec.LookPath(tool); err == nil {
			return finding("bootstrap", container.Good, p, "")
		}
	}
	return finding("bootstrap", container.Warn, "neither mmdebstrap nor debootstrap is installed: images debian:SUITE cannot be made",
		"install one: apt install mmdebstrap")
}

func (e *Engine) checkContainers() []container.Finding {
	names, err := e.Names()
	if err != nil {
		return finding("containers", container.Bad, err.Error(), "")
	}
	out := finding("containers", container.Good, fmt.Sprintf("%d", len(names)), "")
	for _, n := range names {
		s, err := e.Status(n)
		switch {
		case errors.Is(err, container.ErrNotFound): // gone since
		case err != nil:
			out = append(out, container.Finding{Check: "container " + string(n), Severity: container.Bad, Text: err.Error(),
				Remedy: fmt.Sprintf("berth destroy %s removes it", n)})
		case s.State == container.Unsupervised:
			out = append(out, container.Finding{Check: "container " + string(n), Severity: container.Warn, Text: "it runs, but its supervisor was killed",
				Remedy: fmt.Sprintf("berth restart %s, or berth stop %s", n, n)})
		}
	}
	return out
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
