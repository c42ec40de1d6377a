package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// fixed are calls whose result nothing changes, by package and function.
var fixed = []string{
	"errors.New", "fmt.Errorf", "strings.Fields", "strings.NewReplacer", "regexp.MustCompile", "netip.MustParsePrefix", "netip.MustParseAddr",
}

// linked are the variables that the linker sets, by directory.
var linked = map[string]string{"internal/cli": "release"}

// TestNoMutableVariables lets a package-level variable be an error, a table,
// or the result of a few pure functions, and nothing assign to it.
func TestNoMutableVariables(t *testing.T) {
	t.Parallel()
	names := map[string]map[string]bool{} // by directory
	all := code(t)
	for _, s := range all {
		for _, spec := range s.variables() {
			for i, n := range spec.Names {
				if n.Name == "_" {
					continue // an assertion that a type implements an interface
				}
				if linked[s.dir] == n.Name && len(spec.Values) == 0 {
					continue
				}
				if names[s.dir] == nil {
					names[s.dir] = map[string]bool{}
				}
				names[s.dir][n.Name] = true
				if i >= len(spec.Values) || !constantLike(spec.Values[i]) {
					if !s.embedded(spec) {
						t.Errorf("%s:%d: the package variable %s is neither an error nor a table", s.name, s.line(n.Pos()), n.Name)
					}
				}
			}
		}
	}
	for _, s := range all {
		for _, w := range s.writes(names[s.dir]) {
			t.Errorf("%s:%d: the package variable %s is changed", s.name, s.line(w.Pos()), w.Name)
		}
	}
}

// variables are the package-level variables of s.
func (s *source) variables() []*ast.ValueSpec {
	var out []*ast.ValueSpec
	for _, d := range s.ast.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, spec := range g.Specs {
				out = append(out, spec.(*ast.ValueSpec))
			}
		}
	}
	return out
}

// embedded reports whether a //go:embed line gives v its value.
func (s *source) embedded(v *ast.ValueSpec) bool {
	for _, g := range s.ast.Comments {
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//go:embed ") && s.line(c.Pos()) == s.line(v.Pos())-1 {
				return true
			}
		}
	}
	return false
}

// constantLike reports whether e could be a constant, if Go had constants of
// every type.
func constantLike(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		switch e.Type.(type) {
		case *ast.ArrayType, *ast.MapType:
			return true
		}
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && slices.Contains(fixed, pkg.Name+"."+sel.Sel.Name)
	}
	return false
}

// writes are the places where s gives one of the package's variables another
// value, or changes an element of it.
func (s *source) writes(names map[string]bool) []*ast.Ident {
	var out []*ast.Ident
	check := func(e ast.Expr) {
		if id := base(e); id != nil && names[id.Name] && !s.local(id) {
			out = append(out, id)
		}
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					check(e)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				check(n.X)
			}
		case *ast.CallExpr:
			if isName(n.Fun, "delete") || isName(n.Fun, "clear") {
				check(n.Args[0])
			}
		}
		return true
	})
	return out
}

// base is the variable that e is, or is an element of.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// local reports whether id is declared in a function. The parser resolves the
// names of one file; one that it does not know is the package's.
func (s *source) local(id *ast.Ident) bool {
	if id.Obj == nil {
		return false
	}
	spec, ok := id.Obj.Decl.(*ast.ValueSpec)
	return !ok || !slices.Contains(s.variables(), spec)
}

// TestVariableChecks makes sure that the checks above find what they look for.
func TestVariableChecks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text         string
		fixed, wrote bool
	}{
		{`var x = errors.New("x")`, true, false},
		{`var x = []string{"x"}`, true, false},
		{`var x = map[string]int{}; func f() { x := 1; x = 2; _ = x }`, true, false},
		{`var x = map[string]int{}; func f() { var x int; x++ }`, true, false},
		{`var x = map[string]int{}; func f() { x["a"] = 1 }`, true, true},
		{`var x = map[string]int{}; func f() { delete(x, "a") }`, true, true},
		{`var x = [...]int{1}; func f() { x[0]++ }`, true, true},
		{`var x = errors.New("x"); func f() { x = nil }`, true, true},
		{`var x = errors.New("x"); func f() *error { return &x }`, true, true},
		{`var x = 1`, false, false},
		{`var x = sync.Mutex{}`, false, false},
		{`var x = os.Getenv("x")`, false, false},
		{`var x = func() {}`, false, false},
		{`var x = new(int)`, false, false},
	} {
		s := &source{fset: token.NewFileSet()}
		var err error
		if s.ast, err = parser.ParseFile(s.fset, "x.go", "package x; "+c.text, 0); err != nil {
			t.Fatal(err)
		}
		if got := constantLike(s.variables()[0].Values[0]); got != c.fixed {
			t.Errorf("%s: like a constant: %v", c.text, got)
		}
		if got := len(s.writes(map[string]bool{"x": true})) > 0; got != c.wrote {
			t.Errorf("%s: changed: %v", c.text, got)
		}
	}
}
