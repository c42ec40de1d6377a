package declare

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/berth-containers/berth/container"
)

// compiledSchema is Schema for the validator.
func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("berth.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("berth.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is text as a JSON tool would see it after converting it; false where
// it is no YAML to begin with.
func asJSON(text []byte) (any, bool) {
	file, well := Position{}, true
	b, problem := readText(bytes.NewReader(text), file)
	if problem != nil {
		return nil, false
	}
	node, problem := readNode(b, file)
	if problem != nil || node == nil {
		return nil, false
	}
	c := &composer{report: func(*Problem) { well = false }}
	v := c.value(node, "")
	return v.json(), well
}

// examine holds what is true of every text: the schema never refuses what the
// parser takes, and what is taken can be written and read again.
func examine(t *testing.T, schema *jsonschema.Schema, text []byte) error {
	t.Helper()
	d, err := ParseYAML(bytes.NewReader(text), "/dir/berth.yaml")
	if err != nil {
		checkProblems(t, err)
		return err
	}
	data, ok := asJSON(text)
	if !ok {
		t.Fatalf("parsed, but not to be had as JSON:\n%s", text)
	}
	if err := schema.Validate(data); err != nil {
		t.Errorf("the parser takes it, the schema does not: %v\n%s", err, text)
	}
	for _, c := range d.Containers {
		checkRender(t, c)
	}
	return nil
}

func checkProblems(t *testing.T, err error) {
	t.Helper()
	if container.CodeOf(err) != container.CodeUsage {
		t.Errorf("exit code %d", container.CodeOf(err))
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if line == "" || len(line) > 2000 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("not a readable line: %q", line)
		}
	}
}

func checkRender(t *testing.T, c Declared) {
	t.Helper()
	for _, all := range []bool{false, true} {
		text := Render(c.Name, withoutDependencies(c.Spec), all)
		again, err := ParseYAML(bytes.NewReader(text), "/elsewhere/berth.yaml")
		if err != nil {
			t.Fatalf("what Render wrote is not valid: %v\n%s", err, text)
		}
		if diff := cmp.Diff(withoutDependencies(c.Spec), again.Containers[0].Spec); diff != "" {
			t.Errorf("Render and ParseYAML differ (-before +after):\n%s\n%s", diff, text)
		}
	}
}

// withoutDependencies is s as it can stand in a declaration of its own.
func withoutDependencies(s container.Spec) container.Spec {
	s.DependsOn = nil
	return s
}

func TestValid(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, path := range glob(t, "testdata/valid/*") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			if err := examine(t, schema, read(t, path)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInvalid also runs over the scripts: what they hold is invalid too.
func TestInvalid(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	texts := map[string][]byte{}
	for _, path := range glob(t, "testdata/invalid/*") {
		texts[filepath.Base(path)] = read(t, path)
	}
	for _, path := range glob(t, "../cli/testdata/invalid/*.txtar") {
		for _, f := range txtar.Parse(read(t, path)).Files {
			if filepath.Ext(f.Name) == ".yaml" {
				texts[filepath.Base(path)+"/"+f.Name] = f.Data
			}
		}
	}
	refused := 0
	for name, text := range texts {
		if examine(t, schema, text) == nil {
			t.Errorf("%s: the parser takes it", name)
		}
		if data, ok := asJSON(text); ok && schema.Validate(data) != nil {
			refused++
		}
	}
	if refused < len(texts)*2/5 { // the rest is about what keys are to each other
		t.Errorf("the schema refuses only %d of %d", refused, len(texts))
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatal(pattern, err)
	}
	return paths
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzParseYAML(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*", "testdata/invalid/*"} {
		for _, path := range glob(f, pattern) {
			f.Add(read(f, path))
		}
	}
	for _, path := range glob(f, "../cli/testdata/invalid/*.txtar") {
		for _, file := range txtar.Parse(read(f, path)).Files {
			f.Add(file.Data)
		}
	}
	schema := compiledSchema(f)
	f.Fuzz(func(t *testing.T, text []byte) { _ = examine(t, schema, text) })
}
