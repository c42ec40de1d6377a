// Package plan compares what an owner wants with what is there, and says step
// by step what has to change and what each change does to a running guest. It
// is pure: the same input gives the same plan, and nothing is looked at.
package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Diff lists the keys in which two specs differ, in the order of
// container.Keys and below each by name.
func Diff(before, after container.Spec) []container.Change {
	a, b := flatten(before), flatten(after)
	var out []container.Change
	for _, k := range container.Keys() {
		for _, path := range keysBelow(k.Name, a, b) {
			if a[path] != b[path] {
				out = append(out, container.Change{Key: path, Old: a[path], New: b[path], Effect: k.Effect})
			}
		}
	}
	return out
}

// keysBelow are the flattened keys of either map that are key or begin with
// it and a dot.
func keysBelow(key string, a, b map[string]string) []string {
	found := map[string]bool{}
	for _, m := range []map[string]string{a, b} {
		for path := range m {
			if path == key || strings.HasPrefix(path, key+".") {
				found[path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// flatten gives each value of a spec by its dotted key, as text.
func flatten(s container.Spec) map[string]string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a Spec is plain data
	}
	var top map[string]any
	if err := json.Unmarshal(b, &top); err != nil {
		panic(err)
	}
	out := map[string]string{}
	for k, v := range top {
		flattenValue(out, k, v)
	}
	return out
}

func flattenValue(out map[string]string, key string, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		out[key] = text(v)
		return
	}
	for k, v := range m {
		flattenValue(out, key+"."+k, v)
	}
}

// text is a value as a declaration would have it on one line.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = text(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+": "+text(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprint(v)
	}
}
