package declare

import (
	"errors"
	"fmt"

	"github.com/berth-containers/berth/container"
)

// reader turns values into a Spec. It goes on after a problem, so that all of
// them can be told at once.
type reader struct {
	dir    string // relative paths start here
	report func(*Problem)
	keys   map[string]Position // where the value of each key of the container is
}

// path names one value: in messages, and below its container.
type path struct{ whole, key string }

func (p path) child(name string) path {
	key := name
	if p.key != "" {
		key = p.key + "." + name
	}
	return path{childKey(p.whole, name), key}
}

func (p path) index(i int) path { return path{indexKey(p.whole, i), indexKey(p.key, i)} }

func (r *reader) problem(at path, pos Position, err error, hint string) {
	r.report(&Problem{Pos: pos, Key: at.whole, Err: err, Hint: hint})
}

// expect reports whether v is of the kind k. A problem says what was expected
// in its words, or in those of k where there are none.
func (r *reader) expect(at path, v *value, k kind, words string) bool {
	if v.kind == k {
		return true
	}
	if words == "" {
		words = k.String()
	}
	switch {
	case v.kind == kindBroken && v.broken != nil:
		r.problem(at, v.pos, v.broken, "")
	case v.kind == kindBroken:
	case v.kind == kindNothing:
		r.problem(at, v.pos, errors.New("no value is given"), "write "+words+", or leave the key out")
	default:
		r.problem(at, v.pos, fmt.Errorf("expected %s, got %s", words, v.described()), v.hintFor(k))
	}
	return false
}

// described is v in a message.
func (v *value) described() string {
	switch v.kind {
	case kindText:
		return fmt.Sprintf("the text %q", short(v.text))
	case kindInteger, kindNumber:
		return "the number " + short(v.text)
	case kindBoolean:
		return "the boolean " + v.text
	default:
		return v.kind.String()
	}
}

// itself is v as a user would write it, or nearly so.
func (v *value) itself() string {
	switch v.kind {
	case kindList, kindMap:
		return "like this"
	default:
		return fmt.Sprintf("%q", short(v.text))
	}
}

// hintFor says how v becomes a value of kind k, where that is easy.
func (v *value) hintFor(k kind) string {
	switch {
	case k == kindMap && v.kind == kindText:
		return "a map is written { KEY: VALUE }, or on lines of its own"
	case k == kindText && (v.kind == kindInteger || v.kind == kindNumber || v.kind == kindBoolean):
		return fmt.Sprintf("for text, write it in quotes: %q", short(v.text))
	case k == kindBoolean && v.kind == kindText:
		return "write true or false, without quotes"
	case k == kindList && (v.kind == kindText || v.kind == kindInteger):
		return fmt.Sprintf("for a list of one, write [%s]", short(v.text))
	case k == kindInteger && v.kind == kindText && isInteger(v.text):
		return "write the number without quotes"
	}
	return ""
}

// spec reads what one container is to be, on top of base. name is where the
// container is named.
func (r *reader) spec(at path, v *value, name Position, base container.Spec) (container.Spec, bool) {
	r.keys = map[string]Position{}
	if !r.expect(at, v, kindMap, "a map of keys such as image") {
		return base, false
	}
	well := readFields(r, at, v, specFields(), &base)
	return base, r.check(at, v, name, base) && well
}
