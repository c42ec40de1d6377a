package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/berth-containers/berth"

// root is the module's directory, seen from this package.
const root = "../.."

// source is one Go file of the module.
type source struct {
	name string // from the module's root
	dir  string // of the package; "." is the root package
	fset *token.FileSet
	ast  *ast.File
	text []byte
}

func (s *source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// imports are the packages of this module that s imports, by directory.
func (s *source) imports() []string {
	var out []string
	for _, i := range s.ast.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		if p == modulePath {
			out = append(out, ".")
		} else if dir, ok := strings.CutPrefix(p, modulePath+"/"); ok {
			out = append(out, dir)
		}
	}
	return out
}

// sources reads every Go file of the module. Files named zz_… stand in for
// what another branch brings, and are nobody's architecture.
func sources(t *testing.T) []*source {
	t.Helper()
	var out []*source
	eachFile(t, func(name string) {
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(path.Base(name), "zz_") || strings.Contains(name, "testdata/") {
			return
		}
		s := &source{name: name, dir: path.Dir(name), fset: token.NewFileSet()}
		var err error
		if s.text, err = os.ReadFile(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
		if s.ast, err = parser.ParseFile(s.fset, name, s.text, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	})
	if len(out) < 100 {
		t.Fatalf("found %d Go files: this is not the whole module", len(out))
	}
	return out
}

// code is sources without tests.
func code(t *testing.T) []*source {
	t.Helper()
	return slices.DeleteFunc(sources(t), (*source).test)
}

// eachFile calls f with every regular file of the module.
func eachFile(t *testing.T, f func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "bin" || name == "dist" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.Type().IsRegular():
			f(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
