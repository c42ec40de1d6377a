package guest

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/preinit"
	"github.com/berth-containers/berth/internal/process"
)

// TestAwaitInit: nothing is started in a guest before its init runs.
func TestAwaitInit(t *testing.T) {
	t.Parallel()
	first := exec.Command("/bin/cat")
	first.Args = []string{preinit.Dir + "/" + preinit.Program, preinit.Command, "-"} // cat reads its input, behind a file that is not there
	in, err := first.StdinPipe()
	must(t, err)
	must(t, first.Start())
	start, err := process.StartTime(first.Process.Pid)
	must(t, err)
	p, err := process.OpenStarted(first.Process.Pid, start)
	must(t, err)
	defer p.Close()
	g := &Guest{leader: p, start: start}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.awaitInit(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before its init runs: %v", err)
	}
	in.Close()
	_ = first.Wait() // the file is not there
	if err := g.awaitInit(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("after its end: %v", err)
	}
	if err := running(t).awaitInit(t.Context()); err != nil {
		t.Errorf("of one that runs: %v", err)
	}
}
