package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// How a guest ended.
type how int

const (
	failed how = iota
	poweredOff
	rebooted
)

// stuckAfter is how long a guest that is to be killed may still be starting.
const stuckAfter = 5 * time.Second

// ending is how one run of a guest ended.
type ending struct {
	how      how
	reason   error // where it failed
	wasReady bool
}

// runOnce starts the guest and stays with it until it ends.
func (h *shim) runOnce() ending {
	rec, err := state.ReadRecord(h.Paths.Container(h.name)) // it may have changed since the last run
	if err != nil {
		return ending{reason: err}
	}
	h.rec = rec
	lost, err := h.prepareGroup()
	if err != nil {
		return ending{reason: err}
	}
	netns := ""
	if nspawn.EntersNetwork(rec.Spec) {
		netns = rec.Spec.NetworkNamespace
	}
	n, err := listenNotify(netns)
	if err != nil {
		return ending{reason: err}
	}
	defer n.Close()
	log, err := openConsole(h.Paths.Log(h.name))
	if err != nil {
		return ending{reason: err}
	}
	defer log.Close()
	h.setState(container.Starting, "")
	started := make(chan start, 1)
	go func() { started <- h.launch(n.Address(), log.file, lost) }()
	h.say("ok")
	go log.Rotate()
	e := h.stay(started, n)
	if e.how == failed && e.reason == nil {
		e.reason = fmt.Errorf("systemd-nspawn ended with an error: %s", cmp.Or(log.LastLine(), "it does not say which"))
	}
	return e
}

// say tells who started the shim how far the container is: "ok" when its
// process exists, "ready" when its guest is. Only the first time of each
// counts, and nobody may listen any more.
func (h *shim) say(word string) { fmt.Fprintln(h.report, word) }

// start is a systemd-nspawn that has been started, or why not.
type start struct {
	cmd  *exec.Cmd
	gate func() // ends the service at the guest's gate
	err  error
}

// launch starts systemd-nspawn in the guest's cgroup, and in a mount namespace
// of its own with the guest's root.
func (h *shim) launch(notify string, console *os.File, lost string) (s start) {
	stderr, err := os.OpenFile(h.Paths.Stderr(h.name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return start{err: err}
	}
	defer stderr.Close()
	s.err = namespace.Unshared(unix.CLONE_NEWNS, func() error {
		c, err := launch.Assemble(h.Paths, h.rec, launch.Options{LostLimits: lost, Notify: notify})
		if err != nil {
			return err
		}
		s.cmd = &exec.Cmd{Path: c.Path, Args: c.Args, Env: c.Env, Dir: "/", Stdout: console, Stderr: stderr}
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		s.gate = h.admit(c)
		if err := h.guestGroup(h.name).Start(s.cmd); err != nil {
			s.gate()
			return err
		}
		return nil
	})
	return s
}

// stay hears from the guest and the owner until the guest ends.
func (h *shim) stay(started <-chan start, n *notify) ending {
	var cmd *exec.Cmd             // nil until it has started
	var patience <-chan time.Time // from when the guest should be killed, but has not started
	exited := make(chan error, 1)
	limit, cancel := contextUntil(h.rec.Spec.TimeoutStartSec)
	defer cancel()
	again := time.NewTicker(resend)
	again.Stop()
	e := ending{}
	late := false
	h.readySince = time.Time{}
	for {
		select {
		case s := <-started:
			if s.err != nil {
				return ending{reason: s.err}
			}
			defer s.gate()
			if cmd = s.cmd; patience != nil {
				patience = nil
				h.killGuest(cmd)
			}
			go h.shimGroup(h.name).Quicken()
			go n.Listen(cmd.Process.Pid)
			go func() { exited <- cmd.Wait() }()
		case pid := <-n.leader:
			h.setLeader(pid)
		case <-n.ready:
			if e.wasReady { // its init may say so again, as systemd does when it has loaded its units anew
				continue
			}
			e.wasReady = true
			cancel()
			h.becomeReady(n, again)
		case s := <-h.signals:
			if h.stopping = true; s == unix.SIGUSR1 {
				if cmd == nil {
					patience = time.After(stuckAfter)
				} else {
					h.killGuest(cmd)
				}
				continue
			}
			h.asked = true
			h.ask(again) // first, so that the guest goes on meanwhile
			h.setState(container.Stopping, "")
		case <-again.C:
			h.ask(again)
		case <-limit.Done():
			if limit.Err() == context.DeadlineExceeded && !e.wasReady && !late && !h.updates(h.name) {
				if late = true; cmd == nil {
					patience = time.After(stuckAfter)
				} else {
					h.killGuest(cmd)
				}
			}
			limit = context.Background()
		case <-patience:
			h.stuck = true
			return ending{reason: fmt.Errorf("%w: its root could not be put together in time", container.ErrNotReady)}
		case err := <-exited:
			e.how, e.reason = h.judge(err, late)
			return e
		}
	}
}

// becomeReady is called when the guest is ready for the first time in a run.
func (h *shim) becomeReady(n *notify, again *time.Ticker) {
	select {
	case pid := <-n.leader: // came before
		h.setLeader(pid)
	default:
	}
	h.readySince = time.Now()
	if h.stopping {
		again.Reset(time.Nanosecond) // what it was asked before may be lost
		return
	}
	h.setState(container.Running, "")
	h.say("ready")
}

// killGuest kills systemd-nspawn and everything else in the guest's cgroup.
func (h *shim) killGuest(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // an error means that it has ended
	if err := h.guestGroup(h.name).Kill(10 * time.Second); err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
	}
}

func (h *shim) setLeader(pid int) {
	start, err := process.StartTime(pid)
	if err != nil {
		return // it has ended already, as the exit of nspawn will tell
	}
	h.status.Leader, h.status.LeaderStart = pid, start
	h.setState(h.status.State, h.status.Reason)
}

// judge says how a guest ended, from the end of systemd-nspawn, and why where
// that or what it said tells.
func (h *shim) judge(err error, late bool) (how, error) {
	var exit *exec.ExitError
	switch {
	case late:
		return failed, fmt.Errorf("%w: the guest did not say READY=1 within %v", container.ErrNotReady, h.rec.Spec.TimeoutStartSec)
	case err == nil:
		return poweredOff, nil
	case errors.As(err, &exit) && exit.ExitCode() == nspawn.RebootStatus:
		return rebooted, nil
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return failed, fmt.Errorf("systemd-nspawn was ended by %v", exit.Sys().(syscall.WaitStatus).Signal())
	}
	if text := h.lastWords(); text != "" {
		return failed, errors.New(text)
	}
	return failed, nil
}

// lastWords is what the container's process said on its error stream.
func (h *shim) lastWords() string {
	b, err := os.ReadFile(h.Paths.Stderr(h.name))
	if err != nil {
		return ""
	}
	return nspawn.LastWords(b)
}
