package systemd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// TestAlias makes the alias where nobody has it, and removes none but that.
func TestAlias(t *testing.T) {
	t.Parallel()
	etc, run := filepath.Join(t.TempDir(), "etc"), filepath.Join(t.TempDir(), "run")
	both := []string{etc, run}
	want := filepath.Join(run, "container@.service")
	for i, expect := range []string{want, ""} {
		if made, err := ensureAlias(both, run); err != nil || made != expect {
			t.Errorf("%d: made %q, %v", i, made, err)
		}
	}
	if to, err := os.Readlink(want); err != nil || to != "berth@.service" {
		t.Errorf("it leads to %q, %v", to, err)
	}
	if made, err := ensureAlias(both, etc); err != nil || made != "" {
		t.Errorf("beside another one: made %q, %v", made, err)
	}
	for i, expect := range []string{want, ""} {
		if removed, err := removeAlias(run); err != nil || removed != expect {
			t.Errorf("%d: removed %q, %v", i, removed, err)
		}
	}

	// What NixOS, or the machine's owner, has under this name is theirs.
	theirs := filepath.Join(etc, "container@.service")
	must(t, os.MkdirAll(etc, 0o755))
	for what, put := range map[string]func() error{
		"a unit":                    func() error { return os.WriteFile(theirs, nil, 0o644) },
		"a link into the store":     func() error { return os.Symlink("/nix/store/x-unit-container-/container@.service", theirs) },
		"a unit that is masked":     func() error { return os.Symlink("/dev/null", theirs) },
		"an alias of another berth": func() error { return os.Symlink("berth-0123abcd@.service", theirs) },
	} {
		must(t, put())
		if made, err := ensureAlias(both, run); err != nil || made != "" {
			t.Errorf("beside %s: made %q, %v", what, made, err)
		}
		if removed, err := removeAlias(etc); err != nil || removed != "" {
			t.Errorf("%s: removed %q, %v", what, removed, err)
		}
		must(t, os.Remove(theirs))
	}
}

func TestHasAlias(t *testing.T) {
	t.Parallel()
	const system container.StorePath = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-1"
	for _, c := range []struct {
		root   string
		system container.StorePath
		want   bool
	}{{"/", system, true}, {"/", "", false}, {"/srv", system, false}} {
		if got := hasAlias(state.Paths{Root: c.root}, &state.Record{Name: "web", System: c.system}); got != c.want {
			t.Errorf("of %q with the system %q: %v", c.root, c.system, got)
		}
	}
}
