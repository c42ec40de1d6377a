package declare

import (
	"fmt"
	"maps"
	"slices"
)

// listOf is a list of what c reads. same gives what no two items may share;
// nil allows repetition.
func listOf[T any](what string, c codec[T], same func(T) string) codec[[]T] {
	list := codec[[]T]{
		schema: schema{Type: types("array"), Items: &c.schema},
		read: func(r *reader, at path, v *value) ([]T, bool) {
			if !r.expect(at, v, kindList, what) {
				return nil, false
			}
			return readItems(r, at, v.list, c, same)
		},
		write: func(list []T) *value {
			v := &value{kind: kindList}
			for _, t := range list {
				v.list = append(v.list, orEmpty(c.write(t)))
			}
			return v
		},
	}
	return withHint(list, func(v *value) string {
		if c.schema.is("object") && (v.kind == kindText || v.kind == kindInteger) {
			return "a list of maps is written [{ KEY: VALUE }], or on lines of its own"
		}
		return ""
	})
}

func readItems[T any](r *reader, at path, items []*value, c codec[T], same func(T) string) ([]T, bool) {
	var list []T
	seen, well := map[string]int{}, true
	for i, item := range items {
		r.keys[at.index(i).key] = item.pos
		t, ok := c.read(r, at.index(i), item)
		if !ok {
			well = false
			continue
		}
		if same != nil {
			first, twice := seen[same(t)]
			if twice {
				r.problem(at.index(i), item.pos, fmt.Errorf("%s is in the list already, as item %d", same(t), first+1), "keep one of the two")
				well = false
				continue
			}
			seen[same(t)] = i
		}
		list = append(list, t)
	}
	return list, well
}

// itself makes a list refuse to have the same text twice.
func itself[T ~string](t T) string { return fmt.Sprintf("%q", short(string(t))) }

// mapOf is a map with free keys, each of which parse must accept.
func mapOf[T any, M ~map[string]T](what, pattern string, parse func(string) (string, error), c codec[T]) codec[M] {
	s := schema{Type: types("object"), Additional: &c.schema}
	if pattern != "" {
		s.PropertyNames = &schema{Pattern: pattern}
	}
	return codec[M]{
		schema: s,
		read: func(r *reader, at path, v *value) (M, bool) {
			if !r.expect(at, v, kindMap, what) {
				return nil, false
			}
			return readEntries[T, M](r, at, v.entries, parse, c)
		},
		write: func(m M) *value {
			v := &value{kind: kindMap}
			for _, k := range slices.Sorted(maps.Keys(m)) {
				v.entries = append(v.entries, entry{key: k, value: orEmpty(c.write(m[k]))})
			}
			return v
		},
	}
}

func readEntries[T any, M ~map[string]T](r *reader, at path, entries []entry, parse func(string) (string, error), c codec[T]) (M, bool) {
	var m M
	well := true
	for _, e := range entries {
		r.keys[at.child(e.key).key] = e.value.pos
		_, err := parse(e.key)
		if err != nil {
			r.problem(at, e.pos, shortError(err, e.key), hintOf(err))
		}
		t, ok := c.read(r, at.child(e.key), e.value)
		if !ok || err != nil {
			well = false
			continue
		}
		if m == nil {
			m = M{}
		}
		m[e.key] = t
	}
	return m, well
}

// orEmpty is what stands where nothing is written but something must be.
func orEmpty(v *value) *value {
	if v == nil {
		return &value{kind: kindText}
	}
	return v
}
