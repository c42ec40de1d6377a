package systemd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRemoveControls(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "berth@web.service.d")
	write := func(names ...string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if err := os.WriteFile(filepath.Join(dir, n), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if removed, err := removeControls(dir); removed || err != nil {
		t.Errorf("nothing there: %v, %v", removed, err)
	}
	limits := []string{"50-CPUQuota.conf", "50-IOWeight.conf", "50-MemoryMax.conf", "50-TasksMax.conf"}
	write(limits...)
	if removed, err := removeControls(dir); !removed || err != nil {
		t.Errorf("limits: %v, %v", removed, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the empty directory is left")
	}
	write(append(limits, "50-CPUWeight.conf")...)
	if removed, err := removeControls(dir); !removed || err != nil {
		t.Errorf("limits beside something else: %v, %v", removed, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "50-CPUWeight.conf" {
		t.Errorf("left are %v, %v", left, err)
	}
}
