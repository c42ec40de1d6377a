package engine

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Selection says which containers a command is for: those of Names, which may
// be patterns as in path.Match, or All of them; of these, those that have all
// Labels, each KEY or KEY=VALUE.
type Selection struct {
	Names  []string
	All    bool
	Labels []string
}

// Select are the names of the containers that s is for, sorted. A name that is
// no pattern has to exist.
func (e *Engine) Select(s Selection) ([]container.Name, error) {
	all, err := e.Names()
	if err != nil {
		return nil, err
	}
	chosen := all
	if !s.All && len(s.Names) > 0 {
		if chosen, err = match(all, s.Names); err != nil {
			return nil, err
		}
	}
	if len(s.Labels) == 0 {
		return chosen, nil
	}
	return slices.DeleteFunc(slices.Clone(chosen), func(n container.Name) bool {
		rec, err := e.record(n)
		return err != nil || !hasLabels(rec.Spec.Labels, s.Labels)
	}), nil
}

func match(all []container.Name, patterns []string) ([]container.Name, error) {
	var out []container.Name
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*?[") {
			if !slices.Contains(all, container.Name(p)) {
				return nil, notFound(container.Name(p), container.ErrNotFound)
			}
			out = append(out, container.Name(p))
			continue
		}
		for _, n := range all {
			ok, err := path.Match(p, string(n))
			if err != nil {
				return nil, &container.Error{Subject: p, Err: fmt.Errorf("%w", err), Code: container.CodeUsage}
			}
			if ok {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func hasLabels(have container.Labels, want []string) bool {
	for _, w := range want {
		key, value, hasValue := strings.Cut(w, "=")
		v, ok := have[key]
		if !ok || hasValue && v != value {
			return false
		}
	}
	return true
}
