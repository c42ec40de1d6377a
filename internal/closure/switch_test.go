package closure

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNoSwitch(t *testing.T) {
	t.Parallel()
	system := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	const script, version = "bin/switch-to-configuration", "init-interface-version"
	old := system(map[string]string{script: "", version: "systemd 2"})
	for _, c := range []struct {
		name string
		to   map[string]string
		want string
	}{
		{"the same init", map[string]string{script: "", version: "systemd 2"}, ""},
		{"another init", map[string]string{script: "", version: "systemd 3"}, `its new system has another init: "systemd 3", not "systemd 2"`},
		{"no init named", map[string]string{script: ""}, `its new system has another init: "", not "systemd 2"`},
		{"nothing to switch with", map[string]string{version: "systemd 2"}, "its new system has no switch-to-configuration"},
	} {
		if got, err := NoSwitch(old, system(c.to)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}
