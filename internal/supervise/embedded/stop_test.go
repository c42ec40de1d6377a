package embedded

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// TestStopLeaderAgain: the init of a guest that has just started loses the
// signal to shut down, and has no shim that repeats it.
func TestStopLeaderAgain(t *testing.T) {
	t.Parallel()
	const n = container.Name("web")
	s := &Supervisor{Paths: state.Paths{Root: t.TempDir()}}
	init, listen := newInit(t, s, n, 0, `trap "" 37; echo deaf; read line; trap "exit 0" 37; while :; do sleep 0.01; done`)
	time.AfterFunc(resend/2, func() { listen.Close() })
	begun := time.Now()
	s.stopLeader(t.Context(), n, 20*time.Second)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := init.Wait(); err != nil {
		t.Errorf("the init ended with %v", err)
	}
}

// newInit starts a shell script as the init of a guest of which s knows, whose
// shim has the PID shim, and returns when it has said its first line.
func newInit(t *testing.T, s *Supervisor, n container.Name, shim int, script string) (init *exec.Cmd, input io.Closer) {
	t.Helper()
	init = exec.CommandContext(t.Context(), "sh", "-c", script)
	input, err := init.StdinPipe()
	must(t, err)
	out, err := init.StdoutPipe()
	must(t, err)
	must(t, init.Start())
	_, err = out.Read(make([]byte, 5))
	must(t, err)
	started, err := process.StartTime(init.Process.Pid)
	must(t, err)
	must(t, os.MkdirAll(s.Paths.Run(n), 0o700))
	must(t, state.WriteRuntimeJSON(s.statusFile(n), status{State: container.Starting, Shim: shim, Leader: init.Process.Pid, LeaderStart: started}))
	record := state.Record{Name: n, Spec: container.DefaultSpec(), Digest: container.Digest("sha256:" + strings.Repeat("0", 64))}
	must(t, state.WriteLaunched(s.Paths.Run(n), state.Launched{Record: record}))
	return init, input
}

// TestStopShimKilled: a shim that is killed while it should ask the guest to
// end leaves that to who waits for it.
func TestStopShimKilled(t *testing.T) {
	t.Parallel()
	const n = container.Name("web")
	groups, err := cgroup.Mounted()
	must(t, err)
	s := &Supervisor{Paths: state.Paths{Root: t.TempDir()}, Cgroups: groups}
	must(t, os.MkdirAll(s.Paths.Locks(), 0o700))
	lock, err := state.TryLock(s.shimLock(n))
	must(t, err)
	shim := exec.CommandContext(t.Context(), "sh", "-c", `trap "kill -9 $$" TERM; echo; while :; do sleep 0.01; done`)
	out, err := shim.StdoutPipe()
	must(t, err)
	must(t, shim.Start())
	_, err = out.Read(make([]byte, 1))
	must(t, err)
	go func() {
		_ = shim.Wait()
		_ = lock.Unlock()
	}()
	init, _ := newInit(t, s, n, shim.Process.Pid, `trap "exit 0" 37; echo here; while :; do sleep 0.01; done`)
	begun := time.Now()
	must(t, s.stopShim(t.Context(), n, 20*time.Second))
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
		_ = init.Process.Kill()
	}
	if err := init.Wait(); err != nil {
		t.Errorf("the init ended with %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
