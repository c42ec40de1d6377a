package archtest

import (
	"bytes"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The greatest sizes, in lines.
const (
	maxFile     = 450
	maxFunction = 80
)

// TestPackageComments wants one package comment for each directory.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	comments := map[string]int{}
	for _, s := range code(t) {
		comments[s.dir] += 0
		if s.ast.Doc != nil {
			comments[s.dir]++
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, not one", dir, n)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > maxFile {
			t.Errorf("%s has %d lines, more than %d", s.name, n, maxFile)
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			// A table is long without being hard: it counts for one line.
			n := s.line(f.End()) - s.line(f.Pos()) + 1 - s.tableLines(f)
			if n > maxFunction {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.name, s.line(f.Pos()), f.Name.Name, n, maxFunction)
			}
		}
	}
}

// tableLines are the lines of literals in f that hold no function.
func (s *source) tableLines(f *ast.FuncDecl) int {
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		l, ok := node.(*ast.CompositeLit)
		if !ok || holdsFunction(l) {
			return true
		}
		n += s.line(l.End()) - s.line(l.Pos())
		return false
	})
	return n
}

func holdsFunction(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			found = true
		}
		return !found
	})
	return found
}

func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: func init", s.name, s.line(f.Pos()))
			}
		}
	}
}

// TestNoSleep holds tests to waiting for the event. The code may pause where
// the kernel has no event, and so may the suites below test/, which look at
// processes of others and kill at random moments; they say so there.
func TestNoSleep(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !s.test() || strings.HasPrefix(s.dir, "test/") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && isName(sel.X, "time") && sel.Sel.Name == "Sleep" {
				t.Errorf("%s:%d: a test sleeps", s.name, s.line(n.Pos()))
			}
			return true
		})
	}
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// TestNoLeftoverMarks looks for marks of work that is not done, in comments,
// and for paths that lead out of the module, in every file.
func TestNoLeftoverMarks(t *testing.T) {
	t.Parallel()
	marks := [][]byte{[]byte("TO" + "DO"), []byte("FIX" + "ME"), []byte("XX" + "X:")}
	for _, s := range sources(t) {
		for _, g := range s.ast.Comments {
			for _, m := range marks {
				if bytes.Contains([]byte(g.Text()), m) {
					t.Errorf("%s:%d: %s", s.name, s.line(g.Pos()), m)
				}
			}
		}
	}
	outside := []byte(".." + "/shared")
	eachFile(t, func(name string) {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if bytes.Contains(b, outside) && !bytes.HasPrefix(b, []byte("\x7fELF")) {
			t.Errorf("%s mentions %s", name, outside)
		}
	})
}

// documented are methods whose meaning is that of an interface everybody knows.
var documented = map[string]bool{"Error": true, "String": true}

func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !(d.Recv != nil && documented[d.Name.Name]) {
					t.Errorf("%s:%d: %s is not documented", s.name, s.line(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, name := range undocumented(d) {
					t.Errorf("%s:%d: %s is not documented", s.name, s.line(name.Pos()), name.Name)
				}
			}
		}
	}
}

// exportedReceiver reports whether f is a function, or a method that others
// can see.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	e := f.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if generic, ok := e.(*ast.IndexExpr); ok {
		e = generic.X
	}
	return ast.IsExported(e.(*ast.Ident).Name)
}

// undocumented are the exported names of d that nothing is said about: neither
// above them, nor behind them, nor above their group.
func undocumented(d *ast.GenDecl) []*ast.Ident {
	if d.Tok == token.IMPORT || d.Doc != nil {
		return nil
	}
	var out []*ast.Ident
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Doc == nil && spec.Comment == nil && spec.Name.IsExported() {
				out = append(out, spec.Name)
			}
		case *ast.ValueSpec:
			for _, n := range spec.Names {
				if spec.Doc == nil && spec.Comment == nil && n.IsExported() {
					out = append(out, n)
				}
			}
		}
	}
	return out
}
