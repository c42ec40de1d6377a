package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
)

// checkDependencies makes sure that all containers that those of w depend on
// are wanted or there, and that none depends on itself in the end.
func (e *Engine) checkDependencies(w Wish) error {
	deps, err := e.dependencies()
	if err != nil {
		return err
	}
	for _, c := range w.Containers {
		deps[c.Name] = c.Spec.DependsOn
	}
	for _, c := range w.Containers {
		for _, d := range c.Spec.DependsOn {
			if _, ok := deps[d]; !ok {
				return &container.Error{Subject: string(c.Name), Err: fmt.Errorf("dependsOn: there is no container %s", d),
					Hint: "create it first, or declare both together", Code: container.CodeUsage}
			}
		}
	}
	cycle := container.Cycle(deps)
	if len(cycle) == 0 {
		return nil
	}
	names := make([]string, len(cycle))
	for i, n := range cycle {
		names[i] = string(n)
	}
	return &container.Error{Err: fmt.Errorf("dependsOn goes round in a circle: %s", strings.Join(names, " -> ")),
		Hint: "take one of them out", Code: container.CodeUsage}
}

// dependencies of all containers that there are.
func (e *Engine) dependencies() (map[container.Name][]container.Name, error) {
	names, err := e.Names()
	if err != nil {
		return nil, err
	}
	deps := map[container.Name][]container.Name{}
	for _, n := range names {
		if rec, err := e.record(n); err == nil {
			deps[n] = rec.Spec.DependsOn
		}
	}
	return deps, nil
}

// startDependencies starts what n depends on. One that was destroyed does not
// keep n from starting.
func (e *Engine) startDependencies(ctx context.Context, n container.Name) error {
	rec, err := e.Record(n)
	if err != nil {
		return err
	}
	for _, d := range rec.Spec.DependsOn {
		if err := e.Start(ctx, d); err != nil && container.CodeOf(err) != container.CodeNotFound {
			return fmt.Errorf("start %s, which it depends on: %w", d, err)
		}
	}
	return nil
}

// StopOrder sorts containers into groups that may be stopped one group after
// the other: those that depend on others first.
func (e *Engine) StopOrder(names []container.Name) ([][]container.Name, error) {
	if len(names) == 1 {
		return [][]container.Name{names}, nil
	}
	deps, err := e.dependencies()
	if err != nil {
		return nil, err
	}
	levels := plan.Levels(names, func(n container.Name) []container.Name { return deps[n] })
	slices.Reverse(levels)
	return levels, nil
}
