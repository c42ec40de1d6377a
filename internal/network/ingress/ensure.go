package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// The pauses of Keep.
const (
	// comeBack is between the end of the process and its next start; it doubles
	// up to mostBack while the process does not stay.
	comeBack = 50 * time.Millisecond
	mostBack = 30 * time.Second
	// idle is between two looks whether a container needs the process, or has
	// gone: whoever changes a lease has called Ensure itself.
	idle = 5 * time.Second
)

// Arguments are the command that is the process, for berth.
func Arguments(paths state.Paths) []string { return []string{"--root", paths.Root, "ingress", "serve"} }

// Runs reports whether the process answers for the instance, or is about to.
func Runs(paths state.Paths) bool { return state.Held(paths.IngressLock()) }

// Needed reports whether a lease has a name that somebody has to answer for.
func Needed(paths state.Paths) bool {
	needed, err := needs(paths)
	return needed || err != nil // then the process says what is wrong
}

// Group is the control group of the process where systemd does not keep it:
// beside those of containers, since it is none.
func Group(paths state.Paths, h cgroup.Hierarchies) cgroup.Group {
	return h.Group(paths.Instance() + "-ingress")
}

// Ensure has a process answer for the instance, unless one does already or no
// lease needs it. The process runs program, in a session and a control group of
// its own. It follows the leases, so that nobody has to wait for it.
func Ensure(paths state.Paths, h cgroup.Hierarchies, program string) error {
	if !Needed(paths) || Runs(paths) {
		return nil
	}
	cmd := exec.Command(program, Arguments(paths)...)
	cmd.Args[0] = "berth" // as ps shows it
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := openLog(paths)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	g := Group(paths, h)
	if err := g.Create(); err != nil {
		return err
	}
	if err := g.Start(cmd); err != nil {
		return fmt.Errorf("start berth ingress: %w", err)
	}
	go cmd.Wait() // it must not stay a zombie while this process lives
	return nil
}

// LeaveGroup takes this process out of the group that Ensure started it in, and
// removes that, unless another process that takes over is there.
func LeaveGroup(paths state.Paths, h cgroup.Hierarchies) error {
	if err := h.Group("").Join(0); err != nil {
		return err
	}
	if pids, err := Group(paths, h).Procs(); err != nil || len(pids) > 0 {
		return err
	}
	return Group(paths, h).Remove()
}

// openLog is where the process says what goes wrong, beside the access log,
// where systemd does not keep it.
func openLog(paths state.Paths) (*os.File, error) {
	path := paths.IngressLog() + ".errors"
	l, err := openAccess(path)
	if err != nil {
		return nil, err
	}
	if l.size > maxAccess {
		err = l.rotate()
	}
	return l.file, err
}

// Keep has a process answer for the instance for as long as the container n has
// a lease, and starts it again when it ends. Any number may do so at once. It
// returns when ctx ends, or when the lease is gone.
func Keep(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, program string, n container.Name) {
	for pause := comeBack; ctx.Err() == nil; {
		if _, err := os.Stat(paths.Lease(n)); errors.Is(err, os.ErrNotExist) {
			return
		}
		begun := time.Now()
		wait := idle
		if Needed(paths) {
			if err := Ensure(paths, h, program); err != nil {
				fmt.Fprintln(os.Stderr, "berth:", err)
			}
			awaitEnd(ctx, paths)
			if time.Since(begun) > mostBack {
				pause = comeBack
			}
			wait, pause = pause, min(2*pause, mostBack)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// holder is the process that has the lock; the lock's file has it.
type holder struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // see process.StartTime
}

// sign writes into the lock's file who has it.
func sign(l *state.Lock) error {
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		return err
	}
	b, err := json.Marshal(holder{os.Getpid(), start})
	if err != nil {
		return err
	}
	if err := l.File().Truncate(0); err != nil {
		return err
	}
	_, err = l.File().WriteAt(b, 0)
	return err
}

// awaitEnd waits until the process that answers has ended, or a moment where it
// is not known.
func awaitEnd(ctx context.Context, paths state.Paths) {
	var who holder
	if err := state.ReadJSON(paths.IngressLock(), &who); err != nil || who.PID == 0 {
		return
	}
	p, err := process.OpenStarted(who.PID, who.Started)
	if err != nil {
		return
	}
	defer p.Close()
	_ = p.Await(ctx)
}
