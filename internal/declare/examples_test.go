package declare

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestExamples holds that every example of the repository is a declaration,
// and what the examples on networks come to.
func TestExamples(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, path := range glob(t, "../../examples/*/berth.yaml") {
		if err := examine(t, schema, read(t, path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		name := filepath.Base(filepath.Dir(path))
		if name == "hello" {
			continue
		}
		d, err := ParseYAML(strings.NewReader(string(read(t, path))), "/examples/"+name+"/berth.yaml")
		if err != nil {
			continue
		}
		var text []byte
		for _, c := range d.Containers {
			text = append(text, Render(c.Name, c.Spec, false)...)
		}
		golden(t, filepath.Join("testdata/golden", "example-"+name+".yaml"), text)
	}
}
