package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-containers/berth/container"
)

func TestLacks(t *testing.T) {
	t.Parallel()
	blkio := func(files ...string) string {
		dir := t.TempDir()
		for _, f := range append(files, "cgroup.procs") {
			if err := os.MkdirAll(dir+"/x", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "x", f), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	v2 := func(controllers ...string) hierarchy {
		return hierarchy{mount: t.TempDir(), v2: true, controllers: controllers}
	}
	v1 := func(mount, controller string) hierarchy {
		return hierarchy{mount: mount, controllers: []string{controller}}
	}
	for name, c := range map[string]struct {
		have []hierarchy
		want []string
	}{
		"none":    {[]hierarchy{v2()}, []string{"memoryMax", "cpuQuota", "tasksMax", "ioWeight"}},
		"all":     {[]hierarchy{v2("cpu", "io", "memory", "pids")}, nil},
		"no io":   {[]hierarchy{v2("cpu", "memory", "pids")}, []string{"ioWeight"}},
		"v1":      {[]hierarchy{v2("cpu", "memory", "pids"), v1(blkio("blkio.bfq.weight"), "blkio")}, nil},
		"v1 none": {[]hierarchy{v2("cpu", "memory", "pids"), v1(blkio("blkio.throttle"), "blkio")}, []string{"ioWeight"}},
		"v1 new":  {[]hierarchy{v2("cpu", "memory", "pids"), v1(t.TempDir(), "blkio")}, nil},
	} {
		h := Hierarchies{c.have}
		if got := h.Lacks(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
		if m := h.Missing(container.Limits{}); m != nil {
			t.Errorf("%s: without limits, %v", name, m)
		}
		var got []string
		if m := h.Missing(container.Limits{MemoryMax: 1 << 20, CPUQuota: 10, TasksMax: 5, IOWeight: 50}); m != nil {
			got = m.Keys
		}
		var want []string
		for _, key := range c.want {
			want = append(want, "limits."+key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: with all limits %q are missing, not %q", name, got, want)
		}
	}
}
