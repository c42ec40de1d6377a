package declare

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, path)), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	golden(t, "testdata/golden/schema.json", Schema())
	for range 5 {
		if !bytes.Equal(Schema(), Schema()) {
			t.Fatal("two schemas differ")
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	d, err := ParseYAML(bytes.NewReader(read(t, "testdata/valid/full.yaml")), "/dir/berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var short, all bytes.Buffer
	for _, c := range d.Containers {
		short.Write(Render(c.Name, c.Spec, false))
		all.Write(Render(c.Name, c.Spec, true))
	}
	golden(t, "testdata/golden/render.yaml", short.Bytes())
	golden(t, "testdata/golden/render-all.yaml", all.Bytes())
}

// TestKeys holds that the table of keys and their documentation agree.
func TestKeys(t *testing.T) {
	t.Parallel()
	defaults := declaredDefaults()
	keys, fields := container.Keys(), specFields()
	if len(keys) != len(fields) {
		t.Fatalf("%d keys, %d fields", len(keys), len(fields))
	}
	for i, k := range keys {
		if k.Name != fields[i].name {
			t.Errorf("key %d is %s, its field %s", i, k.Name, fields[i].name)
		}
		if got := plainText(fields[i].write(&defaults)); got != k.Default {
			t.Errorf("the default of %s is %q, documented is %q", k.Name, got, k.Default)
		}
	}
}

// plainText is a default as it would be written.
func plainText(v *value) string {
	switch {
	case v == nil:
		return ""
	case v.kind == kindList:
		return "[]"
	case v.kind == kindMap:
		return "{}"
	}
	return v.text
}

// FuzzRender holds that any text survives being written and read.
func FuzzRender(f *testing.F) {
	for _, s := range []string{"a", " a\n\n", "\n  a\n b", "#", "a: b", "- a", "no", "0x1", "<<", "---", "...", "a\r\nb", "\t\na",
		"\u2028", "\u0085a\n", "\ufeffa\n", "\x00", "'", `"\"`, "&a *b !c |", "a # b", "1:2:3", "=", "~", "?", "\U0001f600\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.TrimSpace(text) == "" {
			return
		}
		spec := declaredDefaults()
		spec.Config = text
		spec.HealthCheck = &container.HealthCheck{Command: []string{"x"}}
		if !strings.Contains(text, "\x00") {
			spec.HealthCheck.Command = []string{text}
			spec.Labels = container.Labels{"a": strings.Map(func(r rune) rune {
				if unicode.IsControl(r) {
					return -1
				}
				return r
			}, text)}
		}
		checkRender(t, Declared{Name: "web", Spec: spec})
	})
}
