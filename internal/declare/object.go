package declare

import "fmt"

// field is one key of an object of type S.
type field[S any] struct {
	name     string
	required bool
	schema   schema
	read     func(r *reader, at path, v *value, s *S)
	write    func(s *S) *value
}

// key makes the field name, whose values c reads and whose place is at.
func key[S, T any](name string, c codec[T], at func(*S) *T) field[S] {
	return field[S]{
		name:   name,
		schema: c.schema,
		read: func(r *reader, p path, v *value, s *S) {
			if t, ok := c.read(r, p, v); ok {
				*at(s) = t
			}
		},
		write: func(s *S) *value { return c.write(*at(s)) },
	}
}

// need is a field that must be given.
func need[S any](f field[S]) field[S] {
	f.required = true
	return f
}

// object is a map with fixed keys; those that are left out are as in defaults.
// done checks and completes it, where it is not nil.
func object[S any](what string, defaults S, done func(r *reader, at path, s *S) error, fields ...field[S]) codec[S] {
	return codec[S]{
		schema: objectSchema(fields),
		read: func(r *reader, at path, v *value) (S, bool) {
			s := defaults
			if !r.expect(at, v, kindMap, what) {
				return s, false
			}
			if !readFields(r, at, v, fields, &s) {
				return s, false
			}
			if done == nil {
				return s, true
			}
			err := done(r, at, &s)
			if err != nil {
				r.problem(at, v.pos, err, hintOf(err))
			}
			return s, err == nil
		},
		write: func(s S) *value { return writeFields(fields, &s, &defaults, false) },
	}
}

// readFields reads the keys of v into s and reports whether all were well.
func readFields[S any](r *reader, at path, v *value, fields []field[S], s *S) bool {
	well := true
	watched := *r
	watched.report = func(p *Problem) {
		well = false
		r.report(p)
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	for _, e := range v.entries {
		p := at.child(e.key)
		i := indexOf(names, e.key)
		if i < 0 {
			watched.problem(p, e.pos, unknownKey(e.key, names), "")
			continue
		}
		r.keys[p.key] = e.value.pos
		fields[i].read(&watched, p, e.value, s)
	}
	for _, f := range fields {
		if f.required && v.member(f.name) == nil {
			watched.problem(at, v.pos, fmt.Errorf("the key %s is missing", f.name), "")
		}
	}
	return well
}

// unknownName says that a name is not among those that are known. Which of
// them was meant is only searched for when it is told.
type unknownName struct {
	what  string // such as "unknown key"
	name  string
	known []string
}

func (e unknownName) Error() string {
	if near := meant(e.name, e.known); near != "" {
		return fmt.Sprintf("%s; did you mean %q?", e.what, near)
	}
	return e.what
}

// misspelled reports whether a key of v that has no meaning of its own was
// probably meant to be one of names.
func misspelled(v *value, names []string, hasMeaning func(string) bool) bool {
	for _, e := range v.entries {
		if !hasMeaning(e.key) && meant(e.key, names) != "" {
			return true
		}
	}
	return false
}

func unknownKey(name string, known []string) error {
	return unknownName{"unknown key", name, known}
}

func indexOf(list []string, s string) int {
	for i, have := range list {
		if have == s {
			return i
		}
	}
	return -1
}

// writeFields writes those of s that differ from defaults, or all.
func writeFields[S any](fields []field[S], s, defaults *S, all bool) *value {
	v := &value{kind: kindMap}
	for _, f := range fields {
		w := f.write(s)
		if w != nil && (all || f.required || !w.equal(f.write(defaults))) {
			v.entries = append(v.entries, entry{key: f.name, value: w})
		}
	}
	return v
}

// maybe is c behind a pointer that is nil where nothing is given.
func maybe[T any](c codec[T]) codec[*T] {
	return codec[*T]{
		schema: c.schema,
		read: func(r *reader, at path, v *value) (*T, bool) {
			t, ok := c.read(r, at, v)
			return &t, ok
		},
		write: func(t *T) *value {
			if t == nil {
				return nil
			}
			return c.write(*t)
		},
	}
}
