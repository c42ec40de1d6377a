package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
)

// A command that removes a container may be killed when only the trash and the
// logs are left. Those go together, unless the name is in use again.
func TestTrashAndLogs(t *testing.T) {
	t.Parallel()
	for again, want := range map[bool]bool{false: false, true: true} {
		paths := state.Paths{Root: t.TempDir()}
		e := &Engine{Paths: paths, supervisor: embedded.New(paths, cgroup.Hierarchies{})}
		n := container.Name("web")
		trash := filepath.Join(paths.Containers(), ".trash-web-1")
		must(t, os.MkdirAll(filepath.Join(trash, "container"), 0o700))
		if again {
			must(t, os.Mkdir(paths.Container(n), 0o700))
		}
		logs := []string{paths.Log(n), paths.Log(n) + ".1", paths.Log(n) + ".times"}
		must(t, os.MkdirAll(filepath.Dir(paths.Log(n)), 0o700))
		for _, log := range logs {
			must(t, os.WriteFile(log, nil, 0o600))
		}
		for _, l := range e.directories() {
			_, err := l.remove(t.Context())
			must(t, err)
		}
		if exists(trash) {
			t.Errorf("again %v: the trash is still there", again)
		}
		for _, log := range logs {
			if exists(log) != want {
				t.Errorf("again %v: %s exists: %v", again, log, !want)
			}
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
