package names

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/network/serving"
	"github.com/berth-containers/berth/internal/state"
)

// startLimit is how long the process may take until it serves, and until it has
// ended when another takes its place.
const startLimit = 10 * time.Second

// serverOf is the process that serves names.
func serverOf(paths state.Paths) serving.Process {
	return serving.Process{Purpose: "names", Paths: paths, Lock: lockFile(paths), Needed: func() bool { return Needed(paths) }, MostPause: mostPause}
}

// mostPause is short: guests find nothing meanwhile.
const mostPause = 50 * time.Millisecond

// Ensure has a process serve the instance, unless one does already or no lease
// needs it, and returns when it serves. The process runs program, in a session
// and a control group of its own. Where systemd is the supervisor, its unit
// takes the place of this; see systemd.EnsureNames.
func Ensure(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, program string) error {
	if !Needed(paths) {
		return nil
	}
	lock, err := state.TryLock(lockFile(paths))
	if errors.Is(err, state.ErrLocked) {
		return nil // it follows the leases
	} else if err != nil {
		return err
	}
	defer lock.Unlock() // the process holds it too
	if !Needed(paths) {
		return nil
	}
	if err := start(ctx, paths, h, program, lock); err != nil {
		return fmt.Errorf("start berth names: %w", err)
	}
	return nil
}

// start starts the process, with the lock, and waits for its word.
func start(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, program string, lock *state.Lock) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(program, "--root", paths.Root, "names", "--inherited")
	cmd.ExtraFiles = []*os.File{w, lock.File()} // Inherited has their numbers
	if err := errors.Join(serverOf(paths).Start(h, cmd), w.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	word, err := bufio.NewReader(r).ReadString('\n')
	switch {
	case word == readyWord:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("it does not serve yet: %w", ctx.Err())
	case errors.Is(err, io.EOF):
		return errors.New(strings.TrimSpace(word + " it has ended"))
	}
	return err
}

// readyWord is what the process says when it serves.
const readyWord = "ready\n"

// Run is the command `berth names`: it takes the place of whoever serves the
// instance, and serves until no lease needs it, or until ctx ends: then it
// returns ErrEnded. With inherited, Ensure has started it.
func Run(ctx context.Context, o Options, h cgroup.Hierarchies, inherited bool) error {
	if inherited {
		return runInherited(ctx, o, h)
	}
	ready := sync.OnceFunc(notifySystemd)
	err := runAlone(ctx, o, h, ready)
	if err == nil {
		ready() // for systemd a unit that ends before has failed, also where there was nothing to do
	}
	return err
}

// runAlone serves where nobody waits but, at the most, systemd.
func runAlone(ctx context.Context, o Options, h cgroup.Hierarchies, ready func()) error {
	lock, err := takeOver(ctx, o.Paths)
	for err == nil {
		again := false
		again, err = serve(ctx, o, lock, ready, serverOf(o.Paths).Group(h).Remove) // of one before
		if err != nil || !again {
			return err
		}
		lock, err = state.TryLock(lockFile(o.Paths))
	}
	if errors.Is(err, state.ErrLocked) {
		return nil // by somebody who serves now
	}
	return err
}

// runInherited serves with what start gives. At its end it leaves its control
// group, which nobody else does, and has another process go on where there is
// more to do.
func runInherited(ctx context.Context, o Options, h cgroup.Hierarchies) error {
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	report, lock := os.NewFile(3, "report"), state.Inherited(os.NewFile(4, "lock"))
	ready := func() {
		_, _ = io.WriteString(report, readyWord) // whoever waited may be gone
		_ = report.Close()
	}
	again, err := serve(ctx, o, lock, sync.OnceFunc(ready), func() error { return serverOf(o.Paths).Leave(h) })
	if err != nil || !again {
		return err
	}
	return Ensure(ctx, o.Paths, h, "/proc/self/exe")
}

// takeOver takes the lock, and has whoever holds it end before.
func takeOver(ctx context.Context, paths state.Paths) (*state.Lock, error) {
	lock, err := state.TryLock(lockFile(paths))
	if !errors.Is(err, state.ErrLocked) {
		return lock, err
	}
	if server, err := serverOf(paths).Open(); err == nil {
		err = server.Signal(unix.SIGTERM)
		if err = errors.Join(err, server.Close()); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	lock, err = state.AwaitLock(ctx, lockFile(paths))
	if err != nil {
		return nil, fmt.Errorf("take the place of the process that serves: %w", err)
	}
	return lock, nil
}
