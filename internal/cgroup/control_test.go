package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-containers/berth/container"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits container.Limits
		want   map[string]string // by file
		set    []string
	}{
		"none": {container.Limits{}, map[string]string{
			"memory.max": "max", "memory.limit_in_bytes": "-1", "cpu.max": "max 100000", "cpu.cfs_quota_us": "-1", "pids.max": "max",
			"io.weight": "default 100", "io.bfq.weight": "default 100", "blkio.weight": "100", "blkio.bfq.weight": "100"}, nil},
		"all": {container.Limits{MemoryMax: 1 << 30, CPUQuota: 150, TasksMax: 7, IOWeight: 250}, map[string]string{
			"memory.max": "1073741824", "memory.limit_in_bytes": "1073741824", "cpu.max": "150000 100000", "cpu.cfs_quota_us": "150000", "pids.max": "7",
			"io.weight": "default 250", "io.bfq.weight": "default 250", "blkio.weight": "250", "blkio.bfq.weight": "250"},
			[]string{"memoryMax", "cpuQuota", "tasksMax", "ioWeight", "ioWeight"}},
		"least": {container.Limits{MemoryMax: 1, CPUQuota: 1, TasksMax: 1, IOWeight: 1}, map[string]string{
			"memory.max": "1", "memory.limit_in_bytes": "1", "cpu.max": "1000 100000", "cpu.cfs_quota_us": "1000", "pids.max": "1",
			"io.weight": "default 1", "io.bfq.weight": "default 1", "blkio.weight": "10", "blkio.bfq.weight": "1"},
			[]string{"memoryMax", "cpuQuota", "tasksMax", "ioWeight", "ioWeight"}},
		"most": {container.Limits{CPUQuota: 1<<24 - 1, IOWeight: 10_000}, map[string]string{
			"memory.max": "max", "memory.limit_in_bytes": "-1", "cpu.max": "16777215000 100000", "cpu.cfs_quota_us": "16777215000", "pids.max": "max",
			"io.weight": "default 10000", "io.bfq.weight": "default 1000", "blkio.weight": "1000", "blkio.bfq.weight": "1000"},
			[]string{"cpuQuota", "ioWeight", "ioWeight"}},
	} {
		got, set := map[string]string{}, []string(nil)
		for _, s := range settings(c.limits) {
			if s.set {
				set = append(set, s.key)
			}
			for _, f := range s.files {
				got[f.name] = f.value
			}
		}
		for f, want := range c.want {
			if got[f] != want {
				t.Errorf("%s: %s is %q, not %q", name, f, got[f], want)
			}
		}
		if len(got) != len(c.want) || !slices.Equal(set, c.set) {
			t.Errorf("%s: %d files, set %q", name, len(got), set)
		}
	}
}

// fake is a group in a directory that looks like a hierarchy. It tells which
// files are written with what, and no more: in a real one the kernel refuses
// values, rounds them, makes the files itself, and takes time to freeze. What
// that does, the tests of real groups see.
func fake(t *testing.T, t1 hierarchy, files ...string) Group {
	t.Helper()
	t1.mount = t.TempDir()
	g := Hierarchies{[]hierarchy{t1}}.Group("web")
	must(t, os.Mkdir(t1.mount+"/web", 0o755))
	for _, f := range files {
		must(t, os.WriteFile(filepath.Join(t1.mount, "web", f), []byte("unset"), 0o644))
	}
	return g
}

func (g Group) fakeFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir(g.h.list[0]), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "missing"
	}
	must(t, err)
	return string(b)
}

var allLimits = [...]container.Limits{{MemoryMax: 1 << 20, CPUQuota: 50, TasksMax: 9, IOWeight: 200}}

func TestSetLimitsUnified(t *testing.T) {
	t.Parallel()
	g := fake(t, hierarchy{v2: true, controllers: []string{"cpu", "io", "memory", "pids"}}, "memory.max", "cpu.max", "pids.max", "io.weight")
	for range 2 {
		must(t, g.SetLimits(allLimits[0]))
		for f, want := range map[string]string{"memory.max": "1048576", "cpu.max": "50000 100000", "pids.max": "9", "io.weight": "default 200", "memory.limit_in_bytes": "missing"} {
			if got := g.fakeFile(t, f); got != want {
				t.Errorf("%s is %q, not %q", f, got, want)
			}
		}
	}
	must(t, g.SetLimits(container.Limits{}))
	for f, want := range map[string]string{"memory.max": "max", "cpu.max": "max 100000", "pids.max": "max", "io.weight": "default 100"} {
		if got := g.fakeFile(t, f); got != want {
			t.Errorf("lifted, %s is %q, not %q", f, got, want)
		}
	}
}

func TestSetLimitsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		has   hierarchy
		files []string
		want  []string
	}{
		"nothing":               {hierarchy{v2: true}, nil, []string{"limits.memoryMax", "limits.cpuQuota", "limits.tasksMax", "limits.ioWeight"}},
		"memory":                {hierarchy{v2: true, controllers: []string{"memory"}}, []string{"memory.max"}, []string{"limits.cpuQuota", "limits.tasksMax", "limits.ioWeight"}},
		"io without a weight":   {hierarchy{v2: true, controllers: []string{"memory", "cpu", "pids", "io"}}, []string{"memory.max", "cpu.max", "pids.max"}, []string{"limits.ioWeight"}},
		"io with that of BFQ":   {hierarchy{v2: true, controllers: []string{"memory", "cpu", "pids", "io"}}, []string{"memory.max", "cpu.max", "pids.max", "io.bfq.weight"}, nil},
		"blkio without weights": {hierarchy{controllers: []string{"memory", "cpu", "pids", "blkio"}}, []string{"memory.limit_in_bytes", "cpu.cfs_quota_us", "pids.max"}, []string{"limits.ioWeight"}},
		"blkio":                 {hierarchy{controllers: []string{"memory", "cpu", "pids", "blkio"}}, []string{"memory.limit_in_bytes", "cpu.cfs_quota_us", "pids.max", "blkio.bfq.weight"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := fake(t, c.has, c.files...)
			err := g.SetLimits(allLimits[0])
			var missing *MissingError
			if errors.As(err, &missing); missing == nil && (err != nil || c.want != nil) || missing != nil && !slices.Equal(missing.Keys, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			must(t, g.SetLimits(container.Limits{})) // nothing is wanted, nothing is missing
		})
	}
}

// TestSetLimitsError has a file that cannot be written: the other limits are
// set all the same.
func TestSetLimitsError(t *testing.T) {
	t.Parallel()
	g := fake(t, hierarchy{v2: true, controllers: []string{"cpu", "memory", "pids"}}, "memory.max", "pids.max")
	must(t, os.Mkdir(g.dir(g.h.list[0])+"/cpu.max", 0o755))
	l := allLimits[0]
	l.IOWeight = 0
	err := g.SetLimits(l)
	var missing *MissingError
	if err == nil || errors.As(err, &missing) || g.fakeFile(t, "pids.max") != "9" {
		t.Errorf("got %v", err)
	}
}

func TestFreezeUnified(t *testing.T) {
	t.Parallel()
	g := fake(t, hierarchy{v2: true}, "cgroup.freeze")
	for _, on := range []bool{true, true, false, false} {
		must(t, g.Freeze(on))
		if g.Frozen() != on {
			t.Errorf("frozen: %v, not %v", g.Frozen(), on)
		}
	}
	none := fake(t, hierarchy{controllers: []string{"pids"}})
	if err := none.Freeze(true); err == nil || none.Frozen() {
		t.Errorf("frozen without a freezer: %v", err)
	}
}

func TestUsageUnified(t *testing.T) {
	t.Parallel()
	g := fake(t, hierarchy{v2: true, controllers: []string{"memory"}})
	if u := g.Usage(); u != (container.Usage{}) {
		t.Errorf("of nothing: %+v", u)
	}
	dir := g.dir(g.h.list[0])
	must(t, os.WriteFile(dir+"/memory.current", []byte("4096\n"), 0o644))
	must(t, os.WriteFile(dir+"/memory.events", []byte("low 1\noom 2\noom_kill 3\noom_group_kill 4\n"), 0o644))
	if u := g.Usage(); u != (container.Usage{Memory: 4096, OOMKills: 3}) {
		t.Errorf("got %+v", u)
	}
}
