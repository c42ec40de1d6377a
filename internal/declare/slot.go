package declare

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// slot is the place of one value in the tree of a Spec.
type slot struct {
	parent *value // a map
	name   string
	schema *schema
}

// find goes down from v, which s describes, to the key that an assignment
// names. Maps on the way are made if they are missing.
func find(v *value, s *schema, key string, pos Position) (slot, error) {
	if strings.HasSuffix(key, ".") {
		return slot{}, errors.New("no key is named after the last dot")
	}
	name, rest, sub, err := step(s, key)
	if err != nil || rest == "" {
		return slot{v, name, sub}, err
	}
	if sub.Properties == nil && sub.element() == nil {
		return slot{}, hinted{fmt.Errorf("%s has no keys below it", short(name)), fmt.Sprintf("write %s=VALUE", short(name))}
	}
	next := v.member(name)
	if next == nil {
		next = &value{kind: kindMap, pos: pos}
		v.set(name, next)
	}
	if next.kind != kindMap {
		return slot{}, fmt.Errorf("an argument before this one makes %s %v instead of a map", short(name), next.kind)
	}
	return find(next, sub, rest, pos)
}

// step splits the next name off a dotted key. In a map with free keys, only
// the last dot can start a fixed key: the free ones may have dots themselves.
func step(s *schema, key string) (name, rest string, sub *schema, err error) {
	element := s.element()
	if element == nil {
		name, rest, _ = strings.Cut(key, ".")
		sub = s.Properties[name]
		if sub == nil {
			err = unknownKey(name, slices.Sorted(maps.Keys(s.Properties)))
		}
		return name, rest, sub, err
	}
	dot := strings.LastIndexByte(key, '.')
	if dot <= 0 || element.Properties == nil {
		return key, "", element, nil
	}
	fixed := slices.Sorted(maps.Keys(element.Properties))
	last := key[dot+1:]
	switch near := nearest(last, fixed); near {
	case "":
		return key, "", element, nil
	case last:
		return key[:dot], last, element, nil
	default:
		return "", "", nil, unknownKey(last, fixed)
	}
}

// change adds to a list or removes from it.
func (s slot) change(a Assignment, v *value) error {
	if !s.schema.is("array") {
		return hinted{fmt.Errorf("%s is for lists", a.Op), fmt.Sprintf("write %s=VALUE", short(a.Key))}
	}
	items := []*value{v}
	if v.kind == kindList {
		items = v.list
	}
	old := s.parent.member(s.name)
	list := &value{kind: kindList, pos: v.pos}
	if old != nil {
		list.list = slices.Clone(old.list)
	}
	if a.Op == OpAdd {
		list.list = append(list.list, items...)
	}
	for _, item := range items {
		if a.Op != OpRemove {
			break
		}
		left := slices.DeleteFunc(slices.Clone(list.list), item.isLike)
		if len(left) == len(list.list) {
			return fmt.Errorf("the list has no item %s", item.itself())
		}
		list.list = left
	}
	s.parent.set(s.name, list)
	return nil
}

// isLike reports whether w has all that v says: the same text, or a map with
// at least the same entries.
func (v *value) isLike(w *value) bool {
	if v.kind != kindMap || w.kind != kindMap {
		return v.kind != kindMap && v.equal(&value{kind: v.kind, text: w.text, list: w.list})
	}
	for _, e := range v.entries {
		if have := w.member(e.key); have == nil || !e.value.equal(have) {
			return false
		}
	}
	return true
}

// set gives an entry of a map a value.
func (v *value) set(key string, to *value) {
	for i := range v.entries {
		if v.entries[i].key == key {
			v.entries[i].value = to
			return
		}
	}
	v.entries = append(v.entries, entry{key: key, pos: to.pos, value: to})
}

// remove takes an entry out of a map.
func (v *value) remove(key string) {
	kept := v.entries[:0]
	for _, e := range v.entries {
		if e.key != key {
			kept = append(kept, e)
		}
	}
	v.entries = kept
}
