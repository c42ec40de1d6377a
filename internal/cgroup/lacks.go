package cgroup

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-containers/berth/container"
)

// Lacks names the limits that groups of this host cannot hold, such as
// "memoryMax".
func (h Hierarchies) Lacks() []string {
	able := map[string]bool{}
	var order []string
	for _, s := range settings(container.Limits{}) {
		if _, seen := able[s.key]; !seen {
			order = append(order, s.key)
		}
		able[s.key] = able[s.key] || h.holds(s)
	}
	var out []string
	for _, key := range order {
		if !able[key] {
			out = append(out, key)
		}
	}
	return out
}

// Missing names the limits of l that groups of this host cannot hold, as
// SetLimits does; nil where they can hold them all.
func (h Hierarchies) Missing(l container.Limits) *MissingError {
	lacks := h.Lacks()
	var missing []string
	for _, s := range settings(l) {
		if s.set && slices.Contains(lacks, s.key) {
			missing = append(missing, "limits."+s.key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &MissingError{slices.Compact(missing)}
}

// holds reports whether groups have a file for the setting.
func (h Hierarchies) holds(s setting) bool {
	t, ok := h.controller(s.controller)
	if !ok {
		return false
	}
	group, ok := t.anyGroup()
	if !ok || t.v2 { // where a controller may be there, but not handed down yet
		return true
	}
	for _, f := range s.files {
		if _, err := os.Stat(filepath.Join(group, f.name)); err == nil {
			return true
		}
	}
	return false
}

// anyGroup is a group below the root, which lacks files that others have.
func (t hierarchy) anyGroup() (string, bool) {
	below, err := filepath.Glob(filepath.Join(t.mount, "*", "cgroup.procs"))
	if err != nil || len(below) == 0 {
		return "", false
	}
	return filepath.Dir(below[0]), true
}
