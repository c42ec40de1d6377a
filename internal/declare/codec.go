package declare

import (
	"fmt"
	"strconv"

	"github.com/berth-containers/berth/container"
)

// codec is one type of value: how it is read, written and described. What read
// returns is valid, unless it reports false; the problem is told by then.
type codec[T any] struct {
	schema schema
	read   func(r *reader, at path, v *value) (T, bool)
	write  func(T) *value // nil: there is nothing to write
}

// boolean is true or false.
func boolean() codec[bool] {
	return codec[bool]{
		schema: schema{Type: types("boolean")},
		read: func(r *reader, at path, v *value) (bool, bool) {
			ok := r.expect(at, v, kindBoolean, "")
			return ok && v.isTrue(), ok
		},
		write: func(b bool) *value { return &value{kind: kindBoolean, text: strconv.FormatBool(b)} },
	}
}

// wholeNumber is an integer from low to high; 0 is written as nothing.
func wholeNumber[T ~int | ~uint16 | ~uint64](low, high int64) codec[T] {
	return codec[T]{
		schema: schema{Type: types("integer"), Minimum: &low, Maximum: &high},
		read: func(r *reader, at path, v *value) (T, bool) {
			if !r.expect(at, v, kindInteger, "a whole number") {
				return 0, false
			}
			n, err := integer(v.text)
			if err == nil && (n < low || n > high) {
				err = fmt.Errorf("%s is outside %d to %d", short(v.text), low, high)
			}
			if err != nil {
				r.problem(at, v.pos, err, "")
				return 0, false
			}
			return T(n), true
		},
		write: func(n T) *value {
			if n == 0 {
				return nil
			}
			return &value{kind: kindInteger, text: fmt.Sprint(n)}
		},
	}
}

// integer reads an integer of YAML. It refuses a leading zero, which YAML 1.1
// and 1.2 do not agree about.
func integer(s string) (int64, error) {
	base, digits := 10, s
	switch {
	case len(s) > 2 && s[:2] == "0x":
		base, digits = 16, s[2:]
	case len(s) > 2 && s[:2] == "0o":
		base, digits = 8, s[2:]
	case len(unsigned(s)) > 1 && unsigned(s)[0] == '0':
		return 0, fmt.Errorf("the number %s starts with a zero: write it without, or as 0o and the digits for base 8", short(s))
	}
	n, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		return 0, fmt.Errorf("the number %s is too large", short(s))
	}
	return n, nil
}

// words is a type of text.
type words[T any] struct {
	what    string // for "expected …"; empty: text
	pattern string // for the schema, where it is all that counts
	options []string
	number  bool // it may be written as an integer too
	max     int  // bytes; 0: maxText
	parse   func(r *reader, s string) (T, error)
	format  func(T) string // "" is written as nothing
	hint    func(s string) string
}

// maxText is the longest text where a key says nothing else, in bytes.
const maxText = 4096

func (w words[T]) codec() codec[T] {
	s := schema{Type: types("string"), Pattern: w.pattern, Enum: w.options}
	if w.number {
		s.Type = types("string", "integer")
	}
	return codec[T]{schema: s, read: w.read, write: func(t T) *value {
		text := w.format(t)
		switch {
		case text == "":
			return nil
		case w.number && isInteger(text):
			return &value{kind: kindInteger, text: text}
		}
		return &value{kind: kindText, text: text}
	}}
}

func (w words[T]) read(r *reader, at path, v *value) (T, bool) {
	var none T
	text, ok := w.text(r, at, v)
	if !ok {
		return none, false
	}
	t, err := w.parse(r, text)
	if err == nil {
		return t, true
	}
	hint := hintOf(err)
	if hint == "" && w.hint != nil {
		hint = w.hint(text)
	}
	r.problem(at, v.pos, shortError(err, text), hint)
	return none, false
}

func (w words[T]) text(r *reader, at path, v *value) (string, bool) {
	text, limit := v.text, w.max
	if limit == 0 {
		limit = maxText
	}
	switch {
	case v.literal != nil:
		text = *v.literal
	case w.number && v.kind == kindInteger:
		n, err := integer(text)
		if err != nil {
			r.problem(at, v.pos, err, "")
			return "", false
		}
		text = strconv.FormatInt(n, 10)
	case !r.expect(at, v, kindText, w.what):
		return "", false
	}
	if len(text) > limit {
		r.problem(at, v.pos, fmt.Errorf("the text has %d bytes, at most %d are allowed", len(text), limit), "")
		return "", false
	}
	return text, true
}

// name is a container's name.
func name() codec[container.Name] {
	return words[container.Name]{
		what: "a container's name", pattern: `^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$`,
		parse:  func(_ *reader, s string) (container.Name, error) { return container.ParseName(s) },
		format: func(n container.Name) string { return string(n) },
	}.codec()
}
