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

	"github.com/berth-containers/berth/container"
)

// cpuPeriod is the time in microseconds over which a CPU quota is counted.
const cpuPeriod = 100_000

// MissingError names limits that this host's cgroups cannot hold.
type MissingError struct{ Keys []string }

func (e *MissingError) Error() string {
	return strings.Join(e.Keys, ", ") + ", which this host's cgroups cannot hold"
}

// InUseError says that a guest has more than a limit in use, which cgroup v1 does
// not set then.
type InUseError struct{ Key string }

func (e *InUseError) Error() string {
	return e.Key + ", which is less than the guest has in use"
}

// setting is one limit as files: the first that exists is written.
type setting struct {
	key        string
	controller string
	set        bool // the limit is wanted; otherwise it is lifted where it stands
	files      []file
}

type file struct{ name, value string }

// SetLimits makes l the limits of the group, lifting those that l does not
// have. Applying it twice changes nothing. What the host has no controller for
// is left out and named in a *MissingError, and what the kernel does not set while
// the group has more than that, in an *InUseError.
func (g Group) SetLimits(l container.Limits) error {
	var missing []string
	var errs []error
	for _, s := range settings(l) {
		done, err := g.apply(s)
		if errors.Is(err, unix.EBUSY) {
			errs = append(errs, &InUseError{"limits." + s.key})
		} else if err != nil {
			errs = append(errs, fmt.Errorf("limits.%s: %w", s.key, err))
		}
		if !done && s.set {
			missing = append(missing, "limits."+s.key)
		}
	}
	if len(errs) == 0 && len(missing) > 0 {
		return &MissingError{slices.Compact(missing)} // ioWeight has a file of io, and one of blkio
	}
	return errors.Join(errs...)
}

func (h Hierarchies) hasController(c string) bool {
	_, ok := h.controller(c)
	return ok
}

// otherIO is the other name of the controller of input and output, in v1 or
// v2: of the two a host has one at the most.
func otherIO(c string) string {
	return map[string]string{"io": "blkio", "blkio": "io"}[c]
}

// settings are the limits in the files of cgroup v2 and v1; see
// Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel.
func settings(l container.Limits) []setting {
	number := func(n uint64, none string) string {
		if n == 0 {
			return none
		}
		return strconv.FormatUint(n, 10)
	}
	quota := uint64(l.CPUQuota) * cpuPeriod / 100
	weight := uint64(l.IOWeight)
	if weight == 0 {
		weight = 100
	}
	bfq := min(weight, 1000) // the v1 files end at 1000
	return []setting{
		{"memoryMax", "memory", l.MemoryMax != 0, []file{
			{"memory.max", number(uint64(l.MemoryMax), "max")},
			{"memory.limit_in_bytes", number(uint64(l.MemoryMax), "-1")}}},
		{"cpuQuota", "cpu", l.CPUQuota != 0, []file{
			{"cpu.max", number(quota, "max") + " " + strconv.Itoa(cpuPeriod)},
			{"cpu.cfs_quota_us", number(quota, "-1")}}},
		{"tasksMax", "pids", l.TasksMax != 0, []file{{"pids.max", number(l.TasksMax, "max")}}},
		{"ioWeight", "io", l.IOWeight != 0, []file{
			{"io.weight", "default " + strconv.FormatUint(weight, 10)},
			{"io.bfq.weight", "default " + strconv.FormatUint(bfq, 10)}}},
		{"ioWeight", "blkio", l.IOWeight != 0, []file{
			{"blkio.weight", strconv.FormatUint(max(bfq, 10), 10)},
			{"blkio.bfq.weight", strconv.FormatUint(bfq, 10)}}},
	}
}

// apply writes the first file of s that exists.
func (g Group) apply(s setting) (done bool, err error) {
	t, ok := g.h.controller(s.controller)
	if !ok {
		return g.h.hasController(otherIO(s.controller)), nil
	}
	for _, f := range s.files {
		path := filepath.Join(g.dir(t), f.name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return true, os.WriteFile(path, []byte(f.value), 0)
	}
	return false, nil
}

// Freeze stops or continues every process of the group.
func (g Group) Freeze(on bool) error {
	v1, v2 := "THAWED", "0"
	if on {
		v1, v2 = "FROZEN", "1"
	}
	if t, ok := g.h.controller("freezer"); ok {
		return g.freezeV1(t, v1)
	}
	for _, t := range g.h.list {
		if t.v2 {
			return os.WriteFile(g.dir(t)+"/cgroup.freeze", []byte(v2), 0)
		}
	}
	return errors.New("this host's cgroups cannot freeze")
}

// freezeV1 sets the state and waits for it: the v1 freezer reports FREEZING
// for a while, and has no event.
func (g Group) freezeV1(t hierarchy, state string) error {
	path := g.dir(t) + "/freezer.state"
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if err := os.WriteFile(path, []byte(state), 0); err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(b)) == state {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("freeze cgroup %s: still %s", g.path, strings.TrimSpace(string(b)))
		}
	}
}

// thaw thaws the group and those below it in a v1 freezer: what is frozen there
// does not die. A guest with the host's users can freeze its groups itself,
// whenever it runs.
func (g Group) thaw() {
	t, ok := g.h.controller("freezer")
	if !ok {
		return
	}
	_ = filepath.WalkDir(g.dir(t), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.WriteFile(path+"/freezer.state", []byte("THAWED"), 0) // it may be gone
		}
		return nil
	})
}

// Frozen reports whether Freeze(true) was the last word.
func (g Group) Frozen() bool {
	if t, ok := g.h.controller("freezer"); ok {
		b, _ := os.ReadFile(g.dir(t) + "/freezer.state")
		return strings.HasPrefix(string(b), "FR")
	}
	for _, t := range g.h.list {
		if t.v2 {
			b, _ := os.ReadFile(g.dir(t) + "/cgroup.freeze")
			return strings.TrimSpace(string(b)) == "1"
		}
	}
	return false
}

// Frozen reports whether the process is in a group that is frozen, or being
// frozen, itself or with one above it.
func (h Hierarchies) Frozen(pid int) bool {
	places, _ := h.places(strconv.Itoa(pid)) // none of one that has ended
	return slices.ContainsFunc(places, func(p place) bool {
		if p.v2 {
			b, _ := os.ReadFile(p.dir + "/cgroup.events")
			return strings.Contains(string(b), "frozen 1")
		}
		if !slices.Contains(p.controllers, "freezer") {
			return false
		}
		b, _ := os.ReadFile(p.dir + "/freezer.state")
		return strings.HasPrefix(string(b), "FR")
	})
}

// Usage reads what the group takes; what the host does not count is 0.
func (g Group) Usage() container.Usage {
	var u container.Usage
	t, ok := g.h.controller("memory")
	if !ok {
		return u
	}
	for _, f := range []string{"memory.current", "memory.usage_in_bytes"} {
		if b, err := os.ReadFile(filepath.Join(g.dir(t), f)); err == nil {
			u.Memory, _ = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		}
	}
	for _, f := range []string{"memory.events", "memory.oom_control"} {
		b, _ := os.ReadFile(filepath.Join(g.dir(t), f))
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
				u.OOMKills, _ = strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			}
		}
	}
	return u
}
