package plan

import (
	"slices"

	"github.com/berth-containers/berth/container"
)

// Levels sorts containers into groups: each depends only on containers of
// groups before its own. Names in deps that are not among names do not count.
// The caller has made sure that there is no cycle; what is in one comes last.
func Levels(names []container.Name, deps func(container.Name) []container.Name) [][]container.Name {
	placed := map[container.Name]bool{}
	rest := slices.Clone(names)
	var levels [][]container.Name
	for len(rest) > 0 {
		var level, later []container.Name
		for _, n := range rest {
			ready := !slices.ContainsFunc(deps(n), func(d container.Name) bool { return slices.Contains(rest, d) && !placed[d] && d != n })
			if ready {
				level = append(level, n)
			} else {
				later = append(later, n)
			}
		}
		if len(level) == 0 {
			return append(levels, later)
		}
		for _, n := range level {
			placed[n] = true
		}
		levels, rest = append(levels, level), later
	}
	return levels
}
