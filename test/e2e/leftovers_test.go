//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// surroundings are what a test must leave as it was. Others may work on the
// machine meanwhile, so that all but links are looked for by the test's
// directory.
type surroundings struct{ links []string }

func lookAround() (surroundings, error) {
	var s surroundings
	all, err := net.Interfaces()
	for _, i := range all {
		s.links = append(s.links, i.Name)
	}
	return s, err
}

// compare says what has come about since, and what is left of dir.
func (s surroundings) compare(dir string) error {
	now, err := lookAround()
	errs := []error{err}
	for _, l := range now.links {
		if !slices.Contains(s.links, l) {
			errs = append(errs, fmt.Errorf("left behind: network interface %s", l))
		}
	}
	if _, err := os.Lstat(dir); err == nil {
		errs = append(errs, fmt.Errorf("left behind: %s", dir))
	}
	for _, l := range processes(dir) {
		errs = append(errs, fmt.Errorf("left behind: process %s", l))
	}
	for _, l := range mounts(dir) {
		errs = append(errs, fmt.Errorf("left behind: mount on %s", l))
	}
	return errors.Join(errs...)
}

// leftovers are what a root without containers should not have: cgroups,
// mounts, processes, units that are not off, and files but for images, locks, filters and chosen subnets.
func leftovers(root string) []string {
	var out []string
	for _, d := range cgroups(root) {
		out = append(out, "cgroup "+d)
	}
	for _, m := range mounts(root) {
		out = append(out, "mount on "+m)
	}
	for _, p := range processes(root) {
		out = append(out, "process "+p)
	}
	for _, u := range units(root) {
		out = append(out, "unit "+u)
	}
	return append(out, files(root)...)
}

// units are what systemd says of those units of the root that run, or start
// again and again, or have failed.
func units(root string) []string {
	if !underSystemd() {
		return nil
	}
	b, err := exec.Command("systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager",
		"--state=active,reloading,activating,deactivating,failed", state.Paths{Root: root}.Instance()+"*").CombinedOutput()
	if err != nil {
		return []string{fmt.Sprintf("unknown: %v: %s", err, b)}
	}
	return slices.Collect(strings.Lines(string(b)))
}

// files are the files below a root that are neither images nor locks, nor kept
// system call filters, nor the addresses of the default network, which are
// chosen for good, nor what is remembered of containers of nixos-container, nor
// certificates and the log of ingress; and the directories
// of containers.
func files(root string) []string {
	var out []string
	containers := state.Paths{Root: root}.Containers()
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			out = append(out, err.Error())
		case rel == "etc/hosts": // of newBerth
		case rel == "var/lib/berth/networks/default.json" || rel == "var/lib/berth/nix/lock":
		case rel == "var/lib/berth/images" || rel == "run/berth/locks" || rel == "var/lib/berth/destroyed" || rel == "run/berth/filters" || rel == "var/lib/berth/ingress" || rel == "var/log/berth/ingress":
			if d.IsDir() {
				return filepath.SkipDir
			}
		case !d.IsDir() || filepath.Dir(path) == containers:
			out = append(out, "file "+path)
		}
		return nil
	})
	return out
}

// cgroups are the directories of the root's control groups, under either
// supervisor.
func cgroups(root string) []string {
	instance := state.Paths{Root: root}.Instance()
	return slices.Concat(groups(instance), groups(instance+"-ingress"), groups("machine.slice/"+instance+"@*.service"))
}

// guestGroups are the directories of the control group of a container.
func guestGroups(root, name string) []string {
	paths := state.Paths{Root: root}
	if underSystemd() {
		return groups("machine.slice/" + systemd.Unit(paths, container.Name(name)))
	}
	return groups(paths.Instance() + "/" + name + "/guest")
}

// groups are the directories that match a pattern in the mounted hierarchies.
func groups(pattern string) []string {
	var out []string
	for _, m := range mountinfo() {
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			found, _ := filepath.Glob(filepath.Join(m.target, strings.ReplaceAll(pattern, `\`, `\\`)))
			out = append(out, found...)
		}
	}
	return out
}

type mount struct{ target, kind string }

func mountinfo() []mount {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	var out []mount
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		front, back := strings.Fields(before), strings.Fields(after)
		if len(front) > 4 && len(back) > 0 {
			out = append(out, mount{front[4], back[0]})
		}
	}
	return out
}

// mounts are the host's mounts at and below dir.
func mounts(dir string) []string {
	var out []string
	for _, m := range mountinfo() {
		if m.target == dir || strings.HasPrefix(m.target, dir+"/") {
			out = append(out, m.target)
		}
	}
	return out
}

// processes are those that name dir in their arguments or run a program of
// it, with PID and arguments.
func processes(dir string) []string {
	var out []string
	for _, pid := range pids() {
		if pid == os.Getpid() || pid == os.Getppid() {
			continue
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		args := strings.ReplaceAll(string(b), "\x00", " ")
		if strings.Contains(args, dir) || strings.HasPrefix(exe, dir+"/") {
			out = append(out, fmt.Sprintf("%d %s", pid, args))
		}
	}
	return out
}

func pids() []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// sweep removes everything that tests may have left in dir. It uses nothing
// of berth.
func sweep(dir string) error {
	roots, err := filepath.Glob(filepath.Join(dir, "*/root"))
	if err != nil {
		return err
	}
	for _, root := range append(roots, filepath.Join(dir, "store")) {
		for _, d := range cgroups(root) {
			err = errors.Join(err, removeCgroup(d))
		}
	}
	for _, p := range processes(dir) {
		pid, _, _ := strings.Cut(p, " ")
		n, _ := strconv.Atoi(pid)
		_ = syscall.Kill(n, syscall.SIGKILL)
	}
	left := mounts(dir)
	slices.Reverse(left)
	for _, m := range left {
		err = errors.Join(err, syscall.Unmount(m, syscall.MNT_DETACH))
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// removeCgroup kills what is in a control group and removes it.
func removeCgroup(top string) error {
	var dirs []string
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var errs []error
		for _, d := range slices.Backward(dirs) {
			_ = os.WriteFile(filepath.Join(d, "freezer.state"), []byte("THAWED"), 0)
			b, _ := os.ReadFile(filepath.Join(d, "cgroup.procs"))
			for pid := range strings.FieldsSeq(string(b)) {
				if n, err := strconv.Atoi(pid); err == nil {
					_ = syscall.Kill(n, syscall.SIGKILL)
				}
			}
			if err := syscall.Rmdir(d); err != nil && err != syscall.ENOENT {
				errs = append(errs, fmt.Errorf("remove %s: %w", d, err))
			}
		}
		if len(errs) == 0 || time.Now().After(end) {
			return errors.Join(errs...)
		}
	}
}
