package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
)

// engineOn is the engine of a host with this kernel and systemd-nspawn, and
// without cgroups.
func engineOn(t *testing.T, kernel, library string) *Engine {
	t.Helper()
	paths := state.Paths{Root: t.TempDir()}
	return &Engine{Paths: paths, supervisor: embedded.New(paths, cgroup.Hierarchies{}), probe: host.Probe{
		Release:   func() (string, error) { return kernel, nil },
		LookPath:  func(p string) (string, error) { return "/usr/bin/" + p, nil },
		Libraries: func(string) ([]string, error) { return []string{library}, nil },
		Readlink:  func(string) (string, error) { return "", errors.New("no systemd") },
	}}
}

func explained(t *testing.T, e *Engine) map[string]container.Explanation {
	t.Helper()
	all, err := e.Explain()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]container.Explanation{}
	for i, x := range all {
		if want := container.Keys()[i].Name; x.Key != want || x.By == "" || x.Support == "" {
			t.Errorf("key %d is %+v, not %s", i, x, want)
		}
		out[x.Key] = x
	}
	if len(all) != len(container.Keys()) {
		t.Errorf("%d keys are explained", len(all))
	}
	return out
}

// TestExplain holds what is said of a key to what is given to systemd-nspawn
// for it.
func TestExplain(t *testing.T) {
	t.Parallel()
	for _, k := range container.Keys() {
		x := explained(t, engineOn(t, "6.1.0", "libsystemd-shared-252.so"))[k.Name]
		switch options := nspawn.OptionsOf(k.Name); {
		case !k.Live:
			if x.Support != container.Missing {
				t.Errorf("%s: %+v", k.Name, x)
			}
		case len(options) > 0:
			if x.Support != container.Native || !strings.Contains(x.By, options[0].Name) || x.Since < options[0].Since {
				t.Errorf("%s: %+v, although there is %+v", k.Name, x, options)
			}
		}
	}
}

func TestExplainHost(t *testing.T) {
	t.Parallel()
	old := explained(t, engineOn(t, "5.15.0", "libsystemd-shared-252.so"))
	if n := strings.Join(old["image"].Notes, ""); !strings.Contains(n, "overlays on id-mapped mounts (Linux 5.19)") {
		t.Errorf("on Linux 5.15: %q", n)
	}
	if x := old["limits"]; x.Support != container.Missing {
		t.Errorf("without cgroups: %+v", x)
	}
	if n := strings.Join(old["credentials"].Notes, ""); !strings.Contains(n, "no encrypted") {
		t.Errorf("without systemd as PID 1, of credentials: %q", n)
	}
	recent := explained(t, engineOn(t, "6.1.0", "libsystemd-shared-261.so"))
	if n := recent["image"].Notes; len(n) > 0 {
		t.Errorf("on Linux 6.1: %q", n)
	}
}

func TestExplainWithoutNspawn(t *testing.T) {
	t.Parallel()
	e := engineOn(t, "6.1.0", "libsystemd-shared-252.so")
	e.probe.LookPath = func(string) (string, error) { return "", errors.New("no such file") }
	if _, err := e.Explain(); err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("got %v", err)
	}
}
