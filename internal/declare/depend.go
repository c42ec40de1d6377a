package declare

import (
	"errors"
	"fmt"
	"strings"

	"github.com/berth-containers/berth/container"
)

// dependencyProblems checks dependsOn over all of the declarations: the names
// exist, and none depends on itself by any way.
func dependencyProblems(all []*Declaration) []*Problem {
	dependsOn, known := map[container.Name][]container.Name{}, []string{}
	for _, d := range all {
		for _, c := range d.Containers {
			dependsOn[c.Name] = c.Spec.DependsOn
			known = append(known, string(c.Name))
		}
	}
	var problems []*Problem
	circle := container.Cycle(dependsOn)
	for _, d := range all {
		for _, c := range d.Containers {
			problems = append(problems, c.dependencyProblems(dependsOn, known)...)
			if len(circle) > 2 && c.Name == circle[0] {
				problems = append(problems, c.problem("dependsOn", fmt.Errorf("the containers depend on each other in a circle: %s", arrows(circle)), "remove one of these dependencies"))
			}
		}
	}
	return problems
}

func (c Declared) dependencyProblems(all map[container.Name][]container.Name, known []string) []*Problem {
	var problems []*Problem
	for i, dep := range c.Spec.DependsOn {
		key := indexKey("dependsOn", i)
		_, exists := all[dep]
		switch {
		case dep == c.Name:
			problems = append(problems, c.problem(key, errors.New("a container cannot depend on itself"), "leave it out"))
		case !exists:
			problems = append(problems, c.problem(key, unknownName{fmt.Sprintf("no container %q is declared", dep), string(dep), known}, ""))
		}
	}
	return problems
}

func (c Declared) problem(key string, err error, hint string) *Problem {
	return &Problem{Pos: c.KeyPos[key], Key: childKey("containers", string(c.Name)) + "." + key, Err: err, Hint: hint}
}

func arrows(names []container.Name) string {
	var words []string
	for _, n := range names {
		words = append(words, string(n))
	}
	return strings.Join(words, " -> ")
}
