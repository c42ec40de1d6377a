package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// TestMain makes the test binary the program that Start runs as a shim, with the
// arguments --root ROOT shim NAME.
func TestMain(m *testing.M) {
	if len(os.Args) != 5 || os.Args[3] != "shim" {
		os.Exit(m.Run())
	}
	h, err := cgroup.Mounted()
	if err == nil {
		err = New(state.Paths{Root: os.Args[2]}, h).RunShim(container.Name(os.Args[4]))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// stuck starts a container whose root is never put together: what its system
// consists of is in a file that does not answer, as on a file system of a server
// that is gone.
func stuck(t *testing.T, limit container.Duration) (*Supervisor, container.Name) {
	t.Helper()
	const n = container.Name("web")
	system := container.StorePath("/nix/store/" + strings.Repeat("0", 32) + "-system")
	h, err := cgroup.Mounted()
	must(t, err)
	s := New(state.Paths{Root: t.TempDir()}, h)
	t.Cleanup(func() { must(t, s.Stop(context.Background(), n, 0)) })
	for _, dir := range []string{s.Paths.Container(n), s.Paths.System(n), s.Paths.Locks()} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	must(t, unix.Mkfifo(filepath.Join(s.Paths.System(n), system.Base()+".json"), 0o600))
	spec := container.DefaultSpec()
	spec.System, spec.TimeoutStartSec = "/run/system", limit
	must(t, state.WriteRecord(s.Paths.Container(n), state.Record{Name: n, UIDBase: 700_000, MachineID: strings.Repeat("1", 32), System: system, Spec: spec}))
	must(t, s.Start(t.Context(), n))
	return s, n
}

// TestStuckTimedOut: a container whose root is not put together in time fails.
// Its shim does not wait for that any longer.
func TestStuckTimedOut(t *testing.T) {
	t.Parallel()
	s, n := stuck(t, container.Duration(time.Millisecond))
	shim, err := s.shim(n)
	must(t, err)
	defer shim.Close()
	o, err := s.Await(t.Context(), n, func(o supervise.Observation) bool { return o.State == container.Failed })
	if err != nil || !strings.Contains(o.Reason, "could not be put together in time") || !o.TimedOut {
		t.Errorf("%+v, %v", o, err)
	}
	gone(t, s, n, shim)
	must(t, s.Stop(t.Context(), n, 0))
	rested(t, s, n)
}

// TestStuckKilled: a container whose root is still being put together can be
// stopped.
func TestStuckKilled(t *testing.T) {
	t.Parallel()
	s, n := stuck(t, container.Infinity)
	shim, err := s.shim(n)
	must(t, err)
	defer shim.Close()
	if o, err := s.Observe(n); err != nil || o.State != container.Starting {
		t.Errorf("%+v, %v", o, err)
	}
	must(t, s.Stop(t.Context(), n, 0))
	gone(t, s, n, shim)
	rested(t, s, n)
}

// gone wants the shim to have ended.
func gone(t *testing.T, s *Supervisor, n container.Name, shim *process.Process) {
	t.Helper()
	must(t, shim.Await(t.Context()))
	if pids, err := s.group(n).Procs(); err != nil || len(pids) > 0 {
		t.Errorf("in its group there are %v, %v", pids, err)
	}
}

// rested wants a container that is stopped, and nothing of it to be left.
func rested(t *testing.T, s *Supervisor, n container.Name) {
	t.Helper()
	if o, err := s.Observe(n); err != nil || o.State != container.Stopped || o.Leftover {
		t.Errorf("%+v, %v", o, err)
	}
	if s.group(n).Exists() {
		t.Error("its group is left")
	}
}
