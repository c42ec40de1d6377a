package serving

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

func aProcess(t *testing.T) Process {
	paths := state.Paths{Root: t.TempDir()}
	for _, dir := range []string{paths.Locks(), paths.Leases()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return Process{Purpose: "test", Paths: paths, Lock: filepath.Join(paths.Locks(), ".test"), Needed: func() bool { return true }, MostPause: comeBack}
}

// TestSign finds who has a lock by what that has written into its file, which
// was longer before.
func TestSign(t *testing.T) {
	t.Parallel()
	p := aProcess(t)
	if _, err := p.Open(); err == nil || p.Runs() {
		t.Error("a process serves that there is not")
	}
	lock, err := state.TryLock(p.Lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(p.Lock, make([]byte, 1000), 0o600), Sign(lock)); err != nil {
		t.Fatal(err)
	}
	server, err := p.Open()
	if err != nil || !p.Runs() {
		t.Fatal(err)
	}
	if err := errors.Join(server.Close(), lock.Unlock()); err != nil || p.Runs() {
		t.Error("it still serves", err)
	}
}

// TestKeep has a process started again when it is killed, until the lease is
// gone.
func TestKeep(t *testing.T) {
	t.Parallel()
	p := aProcess(t)
	lease := p.Paths.Lease("web")
	if err := os.WriteFile(lease, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	started := make(chan *exec.Cmd)
	ensure := func() error {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			return err
		}
		start, err := process.StartTime(cmd.Process.Pid)
		if err != nil {
			return err
		}
		if err := state.WriteRuntimeJSON(p.Lock, holder{cmd.Process.Pid, start}); err != nil {
			return err
		}
		started <- cmd
		return nil
	}
	ended := make(chan bool)
	go func() {
		p.Keep(t.Context(), "web", ensure, func(err error) { t.Error(err) })
		close(ended)
	}()
	for i := range 5 {
		cmd := <-started
		if i == 4 {
			if err := os.Remove(lease); err != nil {
				t.Error(err)
			}
		}
		if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
	}
	<-ended
}

// TestKeepFails does not start what fails more and more often, and ends with its
// context.
func TestKeepFails(t *testing.T) {
	t.Parallel()
	p := aProcess(t)
	p.MostPause = time.Hour
	if err := os.WriteFile(p.Paths.Lease("web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*comeBack)
	defer cancel()
	failed := 0
	p.Keep(ctx, "web", func() error { return errors.New("no") }, func(error) { failed++ })
	if failed == 0 || failed > 5 { // after 0, 1, 3, 7 and 15 pauses
		t.Errorf("it was started %d times", failed)
	}
}
