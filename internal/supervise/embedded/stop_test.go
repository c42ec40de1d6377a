package embedded

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// TestStopLeaderAgain: the init of a guest that has just started loses the
// signal to shut down, and has no shim that repeats it.
func TestStopLeaderAgain(t *testing.T) {
	t.Parallel()
	const n = container.Name("web")
	s := &Supervisor{Paths: state.Paths{Root: t.TempDir()}}
	init := exec.CommandContext(t.Context(), "sh", "-c", `trap "" 37; echo deaf; read line; trap "exit 0" 37; while :; do sleep 0.01; done`)
	listen, err := init.StdinPipe()
	must(t, err)
	out, err := init.StdoutPipe()
	must(t, err)
	must(t, init.Start())
	_, err = out.Read(make([]byte, 5))
	must(t, err)
	started, err := process.StartTime(init.Process.Pid)
	must(t, err)
	must(t, os.MkdirAll(s.Paths.Run(n), 0o700))
	must(t, state.WriteRuntimeJSON(s.statusFile(n), status{State: container.Starting, Leader: init.Process.Pid, LeaderStart: started}))
	record := state.Record{Name: n, Spec: container.DefaultSpec(), Digest: container.Digest("sha256:" + strings.Repeat("0", 64))}
	must(t, state.WriteLaunched(s.Paths.Run(n), state.Launched{Record: record}))
	_, err = state.ReadLaunched(s.Paths.Run(n))
	must(t, err)

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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
