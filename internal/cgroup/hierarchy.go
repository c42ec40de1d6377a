package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/mountinfo"
)

// hierarchy is one mounted tree of control groups.
type hierarchy struct {
	mount       string   // where it is mounted
	root        string   // the group that is seen there; "/" but in some containers
	v2          bool     // the unified hierarchy
	controllers []string // of v1: "memory", "name=systemd"; of v2: as in cgroup.controllers
}

// Hierarchies are the trees of control groups that a process sees.
type Hierarchies struct{ list []hierarchy }

// Mounted finds the hierarchies in /proc/self/mountinfo.
func Mounted() (Hierarchies, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Hierarchies{}, err
	}
	defer f.Close()
	h, err := parseMountinfo(f)
	if err != nil {
		return Hierarchies{}, err
	}
	for i := range h.list {
		if t := &h.list[i]; t.v2 {
			b, err := os.ReadFile(t.mount + "/cgroup.controllers")
			if err != nil {
				return Hierarchies{}, err
			}
			t.controllers = strings.Fields(string(b))
		}
	}
	if len(h.list) == 0 {
		return h, &container.Error{Err: errors.New("no cgroup file system is mounted"), Hint: "mount -t cgroup2 cgroup2 /sys/fs/cgroup"}
	}
	return h, nil
}

// parseMountinfo reads the form of proc_pid_mountinfo(5).
func parseMountinfo(r io.Reader) (Hierarchies, error) {
	var h Hierarchies
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, mountinfo.MaxLine)
	for {
		if !sc.Scan() {
			return h, sc.Err()
		}
		if !bytes.Contains(sc.Bytes(), []byte(" - cgroup")) {
			continue // of a table that may have a thousand lines
		}
		before, after, ok := strings.Cut(sc.Text(), " - ")
		front, back := strings.Fields(before), strings.Fields(after)
		if !ok || len(front) < 5 || len(back) < 3 {
			continue
		}
		t := hierarchy{mount: mountinfo.Unescape(front[4]), root: mountinfo.Unescape(front[3])}
		switch back[0] {
		case "cgroup2":
			t.v2 = true
		case "cgroup":
			t.controllers = v1Controllers(back[2])
			if len(t.controllers) == 0 {
				continue
			}
		default:
			continue
		}
		if !h.has(t) {
			h.list = append(h.list, t)
		}
	}
}

func v1Controllers(options string) []string {
	var out []string
	for o := range strings.SplitSeq(options, ",") {
		known := []string{"memory", "pids", "cpu", "cpuacct", "blkio", "devices", "freezer"}
		if strings.HasPrefix(o, "name=") || slices.Contains(known, o) {
			out = append(out, o)
		}
	}
	return out
}

// has reports whether the hierarchy of t is known already: the same one may be
// mounted twice.
func (h Hierarchies) has(t hierarchy) bool {
	return slices.ContainsFunc(h.list, func(o hierarchy) bool {
		return o.mount == t.mount || o.v2 == t.v2 && slices.Equal(o.controllers, t.controllers)
	})
}

// controller is the hierarchy that has controller c.
func (h Hierarchies) controller(c string) (hierarchy, bool) {
	i := slices.IndexFunc(h.list, func(t hierarchy) bool { return slices.Contains(t.controllers, c) })
	if i < 0 {
		return hierarchy{}, false
	}
	return h.list[i], true
}

// Controllers are the names of all controllers and named hierarchies.
func (h Hierarchies) Controllers() []string {
	var out []string
	for _, t := range h.list {
		out = append(out, t.controllers...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Mode is "unified", "legacy" or "hybrid", in the words of systemd.
func (h Hierarchies) Mode() string {
	v2 := slices.IndexFunc(h.list, func(t hierarchy) bool { return t.v2 })
	switch {
	case v2 < 0:
		return "legacy"
	case len(h.list) == 1:
		return "unified"
	default:
		return "hybrid"
	}
}

// at is where the group path, as /proc/PID/cgroup has it, is seen.
func (t hierarchy) at(path string) string {
	if below, ok := strings.CutPrefix(path, t.root); ok && (below == "" || below[0] == '/') {
		path = below
	}
	return filepath.Join(t.mount, path)
}
