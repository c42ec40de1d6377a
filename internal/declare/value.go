package declare

// kind is the type of a value in a declaration.
type kind int

const (
	kindNothing kind = iota // null, or nothing at all
	kindText
	kindBoolean
	kindInteger
	kindNumber // with a fraction or an exponent
	kindList
	kindMap
	kindBroken // not usable
)

// String is a kind with its article, for "expected a list, got …".
func (k kind) String() string {
	return [...]string{"nothing", "text", "true or false", "a number", "a number with a fraction", "a list", "a map", "broken text"}[k]
}

// value is a part of a declaration, whatever format it was written in: all
// references are resolved, no key is given twice.
type value struct {
	kind    kind
	pos     Position
	text    string   // of a scalar, as it is written
	list    []*value // of a list
	entries []entry  // of a map, in the order of the text

	// literal is the whole argument of a command, for keys that take text:
	// there it counts as it stands, whatever it would be as YAML.
	literal *string
	broken  error // why a kindBroken is not usable; nil: that has been told
}

// entry is one key of a map and its value.
type entry struct {
	key   string
	pos   Position // of the key
	value *value
}

// isTrue reports whether a boolean is true.
func (v *value) isTrue() bool { return v.text[0] == 't' || v.text[0] == 'T' }

// member returns the value of a key, or nil.
func (v *value) member(key string) *value {
	for _, e := range v.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// equal reports whether two values have the same content, wherever they are.
func (v *value) equal(w *value) bool {
	if v == nil || w == nil {
		return v == w
	}
	if v.kind != w.kind || v.text != w.text || len(v.list) != len(w.list) || len(v.entries) != len(w.entries) {
		return false
	}
	for i := range v.list {
		if !v.list[i].equal(w.list[i]) {
			return false
		}
	}
	for i, e := range v.entries {
		if e.key != w.entries[i].key || !e.value.equal(w.entries[i].value) {
			return false
		}
	}
	return true
}
