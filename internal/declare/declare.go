package declare

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Declaration is what one file says.
type Declaration struct {
	Path       string          // absolute; "" for the standard input
	Owner      container.Owner // of its containers and networks
	Containers []Declared      // in the order of the file
	Networks   []DeclaredNetwork
}

// Declared is one container of a declaration.
type Declared struct {
	Name container.Name
	Spec container.Spec
	Pos  Position // of the name
	// KeyPos is where the value of each key is, for what is found wrong with
	// it later: "image", "limits.memoryMax", "bindMounts./srv/www.hostPath",
	// "tmpfs[0]".
	KeyPos map[string]Position
}

// ParseYAML reads a declaration in YAML or JSON. path is its file as the user
// named it, for messages and for the relative paths in it; "" is the standard
// input, whose relative paths start in the working directory. What is wrong
// with the declaration is a *Problems.
func ParseYAML(r io.Reader, path string) (*Declaration, error) {
	p, err := newParser(path, 0)
	if err != nil {
		return nil, err
	}
	d := p.parse(r)
	p.problems = append(p.problems, dependencyProblems([]*Declaration{d})...)
	p.problems = append(p.problems, networkProblems([]*Declaration{d})...)
	if err := problemsOf(p.problems); err != nil {
		return nil, err
	}
	return d, nil
}

// ParseEdited reads the copy of a declaration that somebody has edited in the
// file at path. Unlike in ParseYAML, the containers that it depends on may be
// declared elsewhere, and relative paths start in the working directory.
func ParseEdited(r io.Reader, path string) (*Declaration, error) {
	p, err := newParser("", 0)
	if err != nil {
		return nil, err
	}
	p.file.File = path
	d := p.parse(r)
	p.problems = append(p.problems, networkProblems([]*Declaration{d})...)
	if err := problemsOf(p.problems); err != nil {
		return nil, err
	}
	return d, nil
}

// parser reads one file and gathers what is wrong with it.
type parser struct {
	path     string // absolute, or ""
	file     Position
	problems []*Problem
}

func newParser(path string, order int) (*parser, error) {
	p := &parser{file: Position{File: path, order: order}}
	if path == "" {
		p.file.File = "<stdin>"
		return p, nil
	}
	abs, err := filepath.Abs(path)
	p.path = abs
	return p, err
}

func (p *parser) report(one *Problem) { p.problems = append(p.problems, one) }

// parse returns what could be read, also where there are problems.
func (p *parser) parse(r io.Reader) *Declaration {
	d := &Declaration{Path: p.path, Owner: container.OwnerCLI}
	dir, err := filepath.Abs(filepath.Dir(p.path))
	if p.path != "" {
		d.Owner = container.OwnerFile(p.path)
	}
	if err != nil {
		p.report(&Problem{Pos: p.file, Err: err})
		return d
	}
	text, problem := readText(r, p.file)
	if problem != nil {
		p.report(problem)
		return d
	}
	node, problem := readNode(text, p.file)
	switch {
	case problem != nil:
		p.report(problem)
	case node == nil:
		p.report(&Problem{Pos: p.file, Err: errors.New("the file is empty"), Hint: startHint})
	default:
		c := &composer{file: p.file, report: p.report}
		if root := c.value(node, ""); !c.stopped {
			p.top(d, &reader{dir: dir, report: p.report}, root)
		}
	}
	return d
}

// topKeys are the keys at the top of a declaration.
func topKeys() []string { return []string{"containers", "networks"} }

const startHint = "a declaration starts with the line containers:"

// top reads the top of a declaration.
func (p *parser) top(d *Declaration, r *reader, root *value) {
	if root.kind == kindNothing {
		p.report(&Problem{Pos: p.file, Err: errors.New("the file is empty"), Hint: startHint})
		return
	}
	if !r.expect(path{}, root, kindMap, "a map with the key containers") {
		return
	}
	for _, e := range root.entries {
		if !slices.Contains(topKeys(), e.key) && !isExtension(e.key) {
			r.problem(path{}.child(e.key), e.pos, unknownKey(e.key, topKeys()), topHint(e.key))
		}
	}
	networks := root.member("networks")
	if networks != nil {
		p.networks(d, r, networks)
	}
	all := root.member("containers")
	if all == nil {
		if networks != nil || misspelled(root, topKeys(), isExtension) {
			return
		}
		r.problem(path{}, root.pos, errors.New("the key containers is missing"), startHint)
		return
	}
	at := path{}.child("containers")
	if !r.expect(at, all, kindMap, "a map of containers by name") {
		return
	}
	for _, e := range all.entries {
		if one, ok := p.container(r, at, e); ok {
			d.Containers = append(d.Containers, one)
		}
	}
	slices.SortStableFunc(d.Containers, func(a, b Declared) int { return a.Pos.compare(b.Pos) })
}

func (p *parser) container(r *reader, at path, e entry) (Declared, bool) {
	n, err := container.ParseName(e.key)
	if err != nil {
		r.problem(at, e.pos, shortError(err, e.key), "")
	}
	spec, _ := r.spec(path{whole: childKey(at.whole, e.key)}, e.value, e.pos, declaredDefaults())
	return Declared{Name: n, Spec: spec, Pos: e.pos, KeyPos: r.keys}, err == nil
}

// isExtension reports whether a top-level key is left to the user: a place for
// what anchors share.
func isExtension(key string) bool { return strings.HasPrefix(key, "x-") }

// topHint helps those who forgot the level of containers or of the name.
func topHint(key string) string {
	switch {
	case isKey(key):
		return "a container's keys stand below containers and its name"
	case key == "network":
		return "settings of the host belong in /etc/berth/berth.yaml, networks for containers below networks"
	}
	return ""
}

// isKey reports whether a container has a key of this name.
func isKey(name string) bool {
	return slices.ContainsFunc(container.Keys(), func(k container.Key) bool { return k.Name == name })
}
