package container

import (
	"maps"
	"slices"
)

// Cycle returns the names of a circle of dependencies, the first of them again
// at the end, or nil if there is none. It is the same for the same map.
func Cycle(dependsOn map[Name][]Name) []Name {
	done := map[Name]bool{}
	for _, name := range slices.Sorted(maps.Keys(dependsOn)) {
		if c := cycleFrom(name, dependsOn, nil, done); c != nil {
			return c
		}
	}
	return nil
}

func cycleFrom(name Name, dependsOn map[Name][]Name, way []Name, done map[Name]bool) []Name {
	if i := slices.Index(way, name); i >= 0 {
		return append(slices.Clone(way[i:]), name)
	}
	if done[name] {
		return nil
	}
	way = append(way, name)
	for _, next := range dependsOn[name] {
		if c := cycleFrom(next, dependsOn, way, done); c != nil {
			return c
		}
	}
	done[name] = true
	return nil
}
