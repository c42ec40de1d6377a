package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/nix/store"
	"github.com/berth-containers/berth/internal/nixos"
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

// One that nixos-container declares goes with all its parts, the file that
// declares it included, or stays as it is where it was only given back.
func TestTrashDeclared(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]bool{".trash-": false, ".released-": true} {
		paths := state.Paths{Root: t.TempDir()}
		e := &Engine{Paths: paths, supervisor: embedded.New(paths, cgroup.Hierarchies{})}
		place := nixos.New(paths, "web")
		trash := filepath.Join(paths.Containers(), prefix+"web-1")
		parts := []string{place.Root, place.Profile, place.GCRoots}
		for _, dir := range append(parts, filepath.Dir(place.Conf), filepath.Join(trash, "container")) {
			must(t, os.MkdirAll(dir, 0o700))
		}
		must(t, os.WriteFile(place.Conf, nil, 0o600))
		must(t, state.WriteRecord(filepath.Join(trash, "container"), state.Record{Name: "web", Owner: place.Owner(), Root: place.Root, Spec: container.DefaultSpec()}))
		for _, l := range e.directories() {
			_, err := l.remove(t.Context())
			must(t, err)
		}
		if exists(trash) {
			t.Errorf("%s: the trash is still there", prefix)
		}
		for _, part := range append(parts, place.Conf) {
			if exists(part) != want {
				t.Errorf("%s: %s exists: %v", prefix, part, !want)
			}
		}
	}
}

// What a killed process has half written, of what is no container's, is found.
func TestHalvesLeft(t *testing.T) {
	t.Parallel()
	paths := state.Paths{Root: t.TempDir()}
	e := &Engine{Paths: paths, Nix: store.Open(paths.Nix())}
	ended := exec.Command("true")
	must(t, ended.Run())
	file := filepath.Join(e.Paths.AllDestroyed(), fmt.Sprintf(".tmp-%d-1", ended.ProcessState.Pid()))
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	must(t, os.WriteFile(file, nil, 0o600))
	for _, l := range e.halves() {
		if _, err := l.remove(t.Context()); err != nil || l.what != file {
			t.Errorf("%s: %v", l.what, err)
		}
	}
	if exists(file) {
		t.Error("it is still there")
	}
}

// A container may be destroyed while somebody asks which images are in use.
func TestImageUsersMeanwhile(t *testing.T) {
	t.Parallel()
	e := &Engine{Paths: state.Paths{Root: t.TempDir()}}
	must(t, e.prepare())
	ended := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 200 && err == nil; i++ {
			n := container.Name("web")
			err = e.allocating(t.Context(), func() error { return e.place(state.Record{Name: n, Spec: container.DefaultSpec()}) })
			if err == nil {
				trash := filepath.Join(e.Paths.Containers(), fmt.Sprint(".trash-", i))
				err = os.Rename(e.Paths.Container(n), trash)
			}
		}
		ended <- err
	}()
	for {
		select {
		case err := <-ended:
			must(t, err)
			return
		default:
		}
		err := e.allocating(t.Context(), func() error {
			_, err := e.imageUsers()
			return err
		})
		if err != nil {
			t.Errorf("which images are in use: %v", err)
			must(t, <-ended)
			return
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
