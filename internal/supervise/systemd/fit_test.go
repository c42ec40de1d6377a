package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnfit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, `a 100%$ "berth" b`)
	install := func(program string) {
		t.Helper()
		for unit, text := range Units(program) {
			if err := os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	install(program)
	if got := unfitIn(dir); len(got) > 0 {
		t.Errorf("what was just installed: %q", got)
	}
	template := filepath.Join(dir, "berth@.service")
	if err := os.WriteFile(template, []byte("[Service]\nExecStart="+quoteArg(program)+" run %i\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := unfitIn(dir); len(got) != 1 || !strings.HasPrefix(got[0], template+" is not as") {
		t.Errorf("an older template: %q", got)
	}
	install(filepath.Join(dir, "gone"))
	if got := unfitIn(dir); len(got) != 1 || !strings.Contains(got[0], "/gone, which berth-autostart.service, ") {
		t.Errorf("a program that is gone: %q", got)
	}
	if got := unfitIn(t.TempDir()); len(got) > 0 {
		t.Errorf("nothing installed: %q", got)
	}
}
