package serving

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// Process is the process for one purpose of an instance.
type Process struct {
	Purpose string // such as "names"
	Paths   state.Paths
	// Lock is the file that the process which serves has locked, and signed.
	Lock string
	// Needed reports whether a lease needs it.
	Needed func() bool
	// MostPause is the longest pause of Keep between two starts.
	MostPause time.Duration
}

// Runs reports whether the process serves, or is about to.
func (p Process) Runs() bool { return state.Held(p.Lock) }

// Group is its control group: beside those of containers, since it is none.
func (p Process) Group(h cgroup.Hierarchies) cgroup.Group {
	return h.Group(p.Paths.Instance() + "-" + p.Purpose)
}

// Start starts the process, which is berth with arguments, in a session and in
// the control group of its own.
func (p Process) Start(h cgroup.Hierarchies, cmd *exec.Cmd) error {
	cmd.Args[0] = "berth" // as ps shows it
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	g := p.Group(h)
	if err := g.Create(); err != nil {
		return err
	}
	if err := g.Start(cmd); err != nil {
		return err
	}
	go cmd.Wait() // it must not stay a zombie while this process lives
	return nil
}

// Leave takes the calling process, which Start has started, out of its control
// group, and removes that unless a process that takes over is there.
func (p Process) Leave(h cgroup.Hierarchies) error {
	if err := h.Group("").Join(0); err != nil {
		return err
	}
	for end := time.Now().Add(starterLeaves); ; time.Sleep(5 * time.Millisecond) {
		if done, err := p.RemoveGroup(h); done || err != nil || time.Now().After(end) {
			return err
		}
	}
}

// starterLeaves is how long the thread of Start may take to leave the group
// again, where what it has started ends at once.
const starterLeaves = 300 * time.Millisecond

// RemoveGroup removes the control group, unless a process is there.
func (p Process) RemoveGroup(h cgroup.Hierarchies) (done bool, err error) {
	g := p.Group(h)
	if pids, err := g.Procs(); err != nil || len(pids) > 0 {
		return false, err
	}
	return true, g.Remove()
}

// The pauses of Keep.
const (
	// comeBack is between the end of the process and its next start: another one
	// may just be taking its place. It doubles while the process does not stay.
	comeBack = 50 * time.Millisecond
	// stays is how long a process has to live for the next pause to be short.
	stays = 30 * time.Second
	// idle is between two looks whether a container needs the process, or has
	// gone: whoever changes a lease has the process started itself.
	idle = 5 * time.Second
)

// Keep has ensure start the process for as long as the container n has a lease,
// and again when it ends. Any number may do so at once. It tells failed of the
// errors, and returns when ctx ends, or when the lease is gone.
func (p Process) Keep(ctx context.Context, n container.Name, ensure func() error, failed func(error)) {
	for pause := comeBack; ctx.Err() == nil; {
		if _, err := os.Stat(p.Paths.Lease(n)); errors.Is(err, os.ErrNotExist) {
			return
		}
		begun, wait := time.Now(), idle
		if p.Needed() {
			if err := ensure(); err != nil && ctx.Err() == nil {
				failed(err)
			}
			p.awaitEnd(ctx)
			if time.Since(begun) > stays {
				pause = comeBack
			}
			wait, pause = pause, min(2*pause, p.MostPause)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// awaitEnd waits until the process that serves has ended, or a moment where it
// is not known.
func (p Process) awaitEnd(ctx context.Context) {
	server, err := p.Open()
	if err != nil {
		return
	}
	defer server.Close()
	_ = server.Await(ctx)
}

// holder is the process that has the lock; the lock's file has it.
type holder struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // see process.StartTime
}

// Sign writes into the lock's file that the calling process has it.
func Sign(l *state.Lock) error {
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

// Open finds the process that has signed the lock last, if it lives.
func (p Process) Open() (*process.Process, error) {
	var who holder
	if err := state.ReadJSON(p.Lock, &who); err != nil {
		return nil, err
	}
	return process.OpenStarted(who.PID, who.Started)
}
