package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is one control group, the same path in every hierarchy. It need not
// exist.
type Group struct {
	h    Hierarchies
	path string      // from the root of each hierarchy, without a leading slash
	rest []hierarchy // of v1, in which what is started in the group is in none
}

// Group is the group at path, such as "berth/web".
func (h Hierarchies) Group(path string) Group { return Group{h: h, path: path} }

// Child is the group name below g.
func (g Group) Child(name string) Group { return Group{g.h, filepath.Join(g.path, name), g.rest} }

// Light is the group for processes that have no limits, but are to be found: it
// is in those hierarchies only that are for that, where there are such, and
// takes a fifth of the time to make and to remove.
func (g Group) Light() Group {
	limiting := func(t hierarchy) bool { return !t.finds() }
	if slices.IndexFunc(g.h.list, hierarchy.finds) >= 0 {
		g.rest = slices.DeleteFunc(slices.Clone(g.h.list), hierarchy.finds)
		g.h.list = slices.DeleteFunc(slices.Clone(g.h.list), limiting)
	}
	return g
}

func (g Group) dir(t hierarchy) string { return filepath.Join(t.mount, g.path) }

// Create makes the group, and its parents, in every hierarchy. In the v2
// hierarchy it hands every controller down to it.
func (g Group) Create() error {
	for _, t := range g.h.list {
		if err := makeAll(g.dir(t)); err != nil {
			return err
		}
		if t.v2 {
			g.delegate(t)
		}
	}
	return nil
}

// makeAll is os.MkdirAll that goes on where somebody else prunes a parent that
// it has just made. Each time somebody else got on, so that few are enough.
func makeAll(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	for try := 0; errors.Is(err, fs.ErrNotExist) && try < 1000; try++ {
		err = os.MkdirAll(dir, 0o755)
	}
	return err
}

// delegate turns the controllers on above g. A controller that cannot be
// turned on, because a parent has processes of its own, shows when a limit
// needs it.
func (g Group) delegate(t hierarchy) {
	dir := t.mount
	for part := range strings.SplitSeq(g.path, "/") {
		for _, c := range t.controllers {
			_ = os.WriteFile(dir+"/cgroup.subtree_control", []byte("+"+c), 0)
		}
		dir = filepath.Join(dir, part)
	}
}

// Join moves the process into the group; 0 is the calling one. To move a
// process takes the kernel some 10 ms: where it is there already, as after
// Start, nothing is done.
func (g Group) Join(pid int) error {
	proc := "self"
	if pid != 0 {
		proc = strconv.Itoa(pid)
	}
	places, err := g.h.places(proc)
	if err != nil {
		return fmt.Errorf("join cgroup: %w", err)
	}
	for _, t := range g.h.list {
		if slices.ContainsFunc(places, func(p place) bool { return p.dir == g.dir(t) }) {
			continue
		}
		if err := os.WriteFile(g.dir(t)+"/cgroup.procs", strconv.AppendInt(nil, int64(pid), 10), 0); err != nil {
			return fmt.Errorf("join cgroup: %w", err)
		}
	}
	return nil
}

// Procs are the processes in the group and all groups below it.
func (g Group) Procs() ([]int, error) {
	seen := map[int]bool{}
	var out []int
	for _, t := range g.h.telling() {
		err := filepath.WalkDir(g.dir(t), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return ignoreGone(err)
			}
			b, err := os.ReadFile(path + "/cgroup.procs")
			for f := range strings.FieldsSeq(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					out = append(out, pid)
				}
			}
			return ignoreGone(err)
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// telling are hierarchies that know all processes of a group. A process is in
// the same group of each, but below it only in those in which a guest makes
// groups of its own: of the others one is enough.
func (h Hierarchies) telling() []hierarchy {
	var out []hierarchy
	flat := false
	for _, t := range h.list {
		if t.finds() || !flat {
			out = append(out, t)
			flat = flat || !t.finds()
		}
	}
	return out
}

// finds reports whether groups of the hierarchy are there to find processes, as
// systemd does.
func (t hierarchy) finds() bool { return t.v2 || slices.Contains(t.controllers, "name=systemd") }

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// Kill kills every process of the group and the groups below it, and returns
// when none is left, or with an error after the time limit. The calling
// process is not killed: one that has moved out can have a thread in the group
// for a moment that is just ending.
func (g Group) Kill(limit time.Duration) error {
	_ = g.Freeze(false)
	pause := time.Millisecond
	for end := time.Now().Add(limit); ; {
		pids, err := g.Procs()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("kill cgroup %s: %d processes are left, the first has PID %d", g.path, len(pids), pids[0])
		}
		for _, pid := range pids {
			if pid == os.Getpid() {
				continue
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return err
			}
		}
		g.thaw()
		time.Sleep(pause) // the kernel has no event for an emptied v1 group
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// Remove removes the group and all groups below it, which must have no
// processes. A group that is not there is no error. The hierarchy in which
// Create begins is the last one: who is interrupted in either leaves a group
// there.
func (g Group) Remove() error { return g.remove(time.Now().Add(time.Second)) }

// Clear is Kill, then Remove. It is quick where no process is left.
func (g Group) Clear(limit time.Duration) error {
	if g.remove(time.Time{}) == nil {
		return nil
	}
	if err := g.Kill(limit); err != nil {
		return err
	}
	return g.Remove()
}

// Trim removes what of the group and of the groups below it has no process,
// and cares for nothing else.
func (g Group) Trim() { _ = g.remove(time.Time{}) }

func (g Group) remove(end time.Time) error {
	var errs []error
	for _, t := range slices.Backward(g.h.list) {
		errs = append(errs, removeGroups(g.dir(t), end))
	}
	return errors.Join(errs...)
}

// removeGroups removes a directory with those below it. Most have none, and to
// look for them takes longer than to remove it. A group whose last process has
// just ended is busy for a moment, which is waited for until end. A unit that
// may not write to groups is told so before the kernel looks whether this one
// is there.
func removeGroups(dir string, end time.Time) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT || err == unix.EROFS && missing(dir) {
			return nil
		}
		if err != unix.EBUSY {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		below, err := removeBelow(dir, end)
		if err != nil {
			return err
		}
		if below {
			continue
		}
		if time.Now().After(end) {
			return fmt.Errorf("remove cgroup %s: %w", dir, unix.EBUSY)
		}
		time.Sleep(pause)
	}
}

func missing(dir string) bool {
	_, err := os.Lstat(dir)
	return errors.Is(err, fs.ErrNotExist)
}

// removeBelow removes the groups in a directory, all that it can, and reports
// whether there were any.
func removeBelow(dir string, end time.Time) (any bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, ignoreGone(err)
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() {
			any = true
			errs = append(errs, removeGroups(filepath.Join(dir, e.Name()), end))
		}
	}
	return any, errors.Join(errs...)
}

// Prune removes the group where nothing is in it and nothing below it.
func (g Group) Prune() {
	for _, t := range g.h.list {
		_ = unix.Rmdir(g.dir(t))
	}
}

// Exists reports whether the group is there in any hierarchy.
func (g Group) Exists() bool {
	for _, t := range g.h.list {
		if _, err := os.Stat(g.dir(t)); err == nil {
			return true
		}
	}
	return false
}

// Children are the names of the groups below g, those that are only just made
// or removed among them.
func (g Group) Children() []string {
	seen := map[string]bool{}
	var out []string
	for _, t := range g.h.telling() {
		entries, _ := os.ReadDir(g.dir(t))
		for _, e := range entries {
			if e.IsDir() && !seen[e.Name()] {
				seen[e.Name()] = true
				out = append(out, e.Name())
			}
		}
	}
	return out
}

// OpenEntrance opens the groups that the process pid is in for one that is
// still to be forked: what it has to write "0" to, in v1, and the directory
// to start in, in v2, or nil. Both are quick; see Start.
func (h Hierarchies) OpenEntrance(pid int) (tasks []*os.File, dir *os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range tasks {
				f.Close()
			}
			tasks, dir = nil, nil // dir is opened last
		}
	}()
	places, err := h.places(strconv.Itoa(pid))
	if err != nil {
		return nil, nil, err
	}
	for _, p := range places {
		if p.v2 {
			continue
		}
		f, err := openUnpolled(p.dir+"/tasks", unix.O_WRONLY)
		if err != nil {
			return tasks, nil, err
		}
		tasks = append(tasks, f)
	}
	if i := slices.IndexFunc(places, func(p place) bool { return p.v2 }); i >= 0 {
		dir, err = openUnpolled(places[i].dir, unix.O_RDONLY|unix.O_DIRECTORY)
	}
	return tasks, dir, err
}

// openUnpolled opens a file that nobody waits for. os.OpenFile would have the
// kernel wake a thread for each of these.
func openUnpolled(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// place is a group in one hierarchy.
type place struct {
	hierarchy
	dir string
}

// places are the groups of a process or thread, by its name in /proc.
func (h Hierarchies) places(proc string) ([]place, error) {
	b, err := os.ReadFile("/proc/" + proc + "/cgroup")
	if err != nil {
		return nil, err
	}
	var out []place
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if t, ok := h.ofLine(parts[0], parts[1]); ok {
			out = append(out, place{t, t.at(parts[2])})
		}
	}
	return out, nil
}

// ofLine is the hierarchy that a line of /proc/PID/cgroup is about.
func (h Hierarchies) ofLine(id, controllers string) (hierarchy, bool) {
	if id == "0" && controllers == "" {
		for _, t := range h.list {
			if t.v2 {
				return t, true
			}
		}
		return hierarchy{}, false
	}
	first, _, _ := strings.Cut(controllers, ",")
	return h.controller(first)
}
