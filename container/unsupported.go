package container

import (
	"reflect"
	"slices"
	"strings"
)

// Unsupported are the keys that s sets and that berth cannot carry out yet, in
// the order of Keys.
func (s Spec) Unsupported() []string {
	var out []string
	v := reflect.ValueOf(s)
	for _, k := range Keys() {
		if !k.Live && !v.FieldByIndex(fieldOf(k.Name)).IsZero() {
			out = append(out, k.Name)
		}
	}
	return out
}

// fieldOf is the index of the field of Spec with the JSON name key.
func fieldOf(key string) []int {
	t := reflect.TypeFor[Spec]()
	i := slices.IndexFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name == key
	})
	return t.Field(i).Index
}
