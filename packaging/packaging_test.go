package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/berth-containers/berth/internal/declare"
)

func TestStage(t *testing.T) {
	t.Chdir("..") // where the manual is
	dir := t.TempDir()
	if err := stageShared(dir, installed); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"units/berth@.service": "\nExecStart=/usr/bin/berth run %i\n", "units/berth-autostart.service": "\nExecStart=/usr/bin/berth start --autostart\n",
		"units/berth-names.service":   "\nExecStart=/usr/bin/berth names\n",
		"units/berth-ingress.service": "\nExecStart=/usr/bin/berth ingress serve\n",
		"completions/berth":           "__start_berth", "completions/_berth": "#compdef berth", "completions/berth.fish": "complete -c berth", "man/berth-why.1.gz": "",
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(b) == 0 || !strings.Contains(string(b), text) {
			t.Errorf("%s: %v, no %q in %.200s", name, err, text, b)
		}
	}
}

// TestRecipe holds that the recipe is YAML, and that what it takes from the
// repository is there.
func TestRecipe(t *testing.T) {
	t.Chdir("..")
	text, err := recipe(values{Stage: "/stage", Arch: "arm64", Version: "1.2.3~x"})
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Version  string
		Scripts  map[string]string
		Contents []struct{ Src, Dst, Type string }
	}
	if err := yaml.Unmarshal(text, &r); err != nil || r.Version != "1.2.3~x" {
		t.Fatalf("version %q: %v", r.Version, err)
	}
	sources := []string{}
	for _, c := range r.Contents {
		if c.Src != "" && c.Type != "symlink" && !strings.HasPrefix(c.Src, "/stage/") {
			sources = append(sources, c.Src)
		}
	}
	for _, s := range r.Scripts {
		sources = append(sources, s)
		if out, err := exec.Command("sh", "-n", s).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", s, err, out)
		}
	}
	if len(sources) < 8 {
		t.Errorf("few sources: %q", sources)
	}
	for _, s := range sources {
		if _, err := os.Stat(s); err != nil {
			t.Error(err)
		}
	}
}

// TestSettings holds that the file of settings sets nothing, and that the
// examples in it are settings and a declaration.
func TestSettings(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(b)) {
		text, comment := strings.CutPrefix(line, "#")
		if !comment {
			t.Errorf("not a comment: %q", line)
		}
		if text, ok := strings.CutPrefix(text, "   "); ok {
			example.WriteString(text)
		}
	}
	settings, containers, _ := strings.Cut(example.String(), "containers:\n")
	set, err := declare.ParseSettings(strings.NewReader(settings), "/etc/berth/berth.yaml")
	if err != nil || set.Network.Bridge == "" || set.Ingress.Email == "" {
		t.Errorf("%+v, %v in\n%s", set, err, settings)
	}
	d, err := declare.ParseYAML(strings.NewReader("containers:\n"+containers), "/etc/berth/containers/x.yaml")
	if err != nil || len(d.Containers) != 1 {
		t.Errorf("%v in\n%s", err, containers)
	}
	if set, err := declare.ParseSettings(bytes.NewReader(b), "/etc/berth/berth.yaml"); err != nil || !reflect.DeepEqual(set, declare.Settings{}) {
		t.Errorf("the file sets %+v, %v", set, err)
	}
}
