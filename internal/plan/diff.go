// Package plan compares what an owner wants with what is there, and says step
// by step what has to change and what each change does to a running guest. It
// is pure: the same input gives the same plan, and nothing is looked at.
package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
			if a[path].exact != b[path].exact {
				out = append(out, container.Change{Key: path, Old: a[path].text, New: b[path].text, Effect: k.Effect})
			}
		}
	}
	return out
}

// keysBelow are the flattened keys of either map that are key or begin with
// it and a dot.
func keysBelow(key string, a, b map[string]value) []string {
	found := map[string]bool{}
	for _, m := range []map[string]value{a, b} {
		for path := range m {
			if path == key || strings.HasPrefix(path, key+".") {
				found[path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// value is one value of a spec. The zero value is of a key that is not set.
type value struct {
	exact string // as JSON: the same for the same value only
	text  string // as a declaration would have it on one line
}

// flatten gives each value of a spec by its dotted key.
func flatten(s container.Spec) map[string]value {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a Spec is plain data
	}
	var top map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a float64 does not hold every number
	if err := d.Decode(&top); err != nil {
		panic(err)
	}
	out := map[string]value{}
	for k, v := range top {
		flattenValue(out, k, v)
	}
	return out
}

func flattenValue(out map[string]value, key string, v any) {
	if m, ok := v.(map[string]any); ok {
		for k, v := range m {
			flattenValue(out, key+"."+k, v)
		}
		return
	}
	exact, err := json.Marshal(v)
	if err != nil {
		panic(err) // it has come from JSON
	}
	out[key] = value{string(exact), text(v)}
}

// text is a value as a declaration would have it on one line.
func text(v any) string {
	switch v := v.(type) {
	case string:
		if n := strings.Count(strings.TrimSuffix(v, "\n"), "\n"); n > 0 {
			return fmt.Sprintf("text of %d lines", n+1)
		}
		return quoted(v, "")
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = element(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+": "+element(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprint(v)
	}
}

// element is a value within another.
func element(v any) string {
	if s, ok := v.(string); ok {
		return quoted(s, ",[]{}")
	}
	return text(v)
}

// quoted is s, in quotes where it is empty or could be taken for more than one
// value, because it has one of the characters in special.
func quoted(s, special string) string {
	if s == "" || strings.ContainsAny(s, special) {
		return strconv.Quote(s)
	}
	return s
}
