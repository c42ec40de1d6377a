package declare

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/berth-containers/berth/container"
)

// Assignment sets one key, as the arguments of `berth set` do.
type Assignment struct {
	Key    string // dotted: limits.memoryMax, labels.a, bindMounts./srv.hostPath
	Op     Op
	Value  string // YAML; where the key takes text, it counts as it stands unless it is in quotes
	Origin string // for messages: "argument 2", "--image"
}

// Op is what an Assignment does with its value.
type Op string

// The operators.
const (
	OpSet    Op = "="  // the value is new; an empty one resets the key to its default
	OpAdd    Op = "+=" // a list gets the value, or the items of a list
	OpRemove Op = "-=" // a list loses the items that are like the value
)

// ParseAssignments changes base by arguments of the form KEY=VALUE, KEY+=VALUE
// and KEY-=VALUE, in their order. origin is what an argument is called in
// messages, such as "argument"; relative paths start in dir, which is
// absolute. What is wrong is a *Problems.
func ParseAssignments(base container.Spec, args []string, origin, dir string) (container.Spec, error) {
	var sets []Assignment
	var problems []*Problem
	for i, arg := range args {
		from := fmt.Sprintf("%s %d", origin, i+1)
		a, err := parseAssignment(arg, from)
		if err != nil {
			problems = append(problems, &Problem{Pos: Position{File: from, order: i}, Err: err, Hint: hintOf(err)})
		}
		sets = append(sets, a)
	}
	if err := problemsOf(problems); err != nil {
		return container.Spec{}, err
	}
	return Assign(base, dir, sets...)
}

func parseAssignment(arg, origin string) (Assignment, error) {
	key, text, ok := strings.Cut(arg, "=")
	a := Assignment{Key: key, Op: OpSet, Value: text, Origin: origin}
	switch {
	case strings.HasSuffix(key, "+"):
		a.Key, a.Op = key[:len(key)-1], OpAdd
	case strings.HasSuffix(key, "-"):
		a.Key, a.Op = key[:len(key)-1], OpRemove
	}
	if !ok || a.Key == "" {
		hint := "write for example limits.memoryMax=1G"
		if _, err := container.ParseImageRef(arg); err == nil {
			hint = "write image=" + short(arg)
		}
		return a, hinted{fmt.Errorf("%q does not have the form KEY=VALUE", short(arg)), hint}
	}
	return a, nil
}

// Assign changes base by the assignments, in their order, and checks the
// result as a whole. Relative paths start in dir. What is wrong is a *Problems.
func Assign(base container.Spec, dir string, sets ...Assignment) (container.Spec, error) {
	var problems []*Problem
	report := func(p *Problem) { problems = append(problems, p) }
	defaults, fields := container.DefaultSpec(), specFields()
	root := writeFields(fields, &base, &defaults, false)
	top := objectSchema(fields)
	for i, a := range sets {
		pos := Position{File: a.Origin, order: i + 1}
		if err := apply(root, &top, a, pos); err != nil {
			report(&Problem{Pos: pos, Key: short(a.Key), Err: err, Hint: hintOf(err)})
		}
	}
	r := &reader{dir: filepath.Clean(dir), report: report}
	spec, _ := r.spec(path{}, root, Position{}, defaults)
	if err := problemsOf(problems); err != nil {
		return container.Spec{}, err
	}
	return spec, nil
}

// apply changes the tree of a Spec by one assignment.
func apply(root *value, top *schema, a Assignment, pos Position) error {
	if !utf8.ValidString(a.Key + a.Value) {
		return errors.New("this is not UTF-8 text")
	}
	s, err := find(root, top, a.Key, pos)
	if err != nil {
		return err
	}
	if a.Op == OpSet && a.Value == "" {
		s.parent.remove(s.name)
		return nil
	}
	v := argumentValue(a.Value, pos)
	if a.Op == OpSet {
		s.parent.set(s.name, v)
		return nil
	}
	return s.change(a, v)
}

// argumentValue is text as a value, for a key of any type.
func argumentValue(text string, pos Position) *value {
	broken := func(p *Problem) *value {
		return &value{kind: kindBroken, pos: pos, literal: &text, broken: p.Err}
	}
	b, problem := readText(strings.NewReader(text), pos)
	if problem != nil {
		return broken(problem)
	}
	node, problem := readNode(b, pos)
	if problem != nil {
		return broken(problem)
	}
	if node == nil {
		return &value{pos: pos, literal: &text}
	}
	c := &composer{file: pos, flat: true, report: func(p *Problem) { problem = p }}
	v := c.value(node, "")
	if problem != nil {
		return broken(problem)
	}
	if quoted := v.kind == kindText && strings.ContainsAny(text[:1], `"'`); !quoted {
		v.literal = &text
	}
	return v
}
