package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
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

// rebootStatus is systemd-nspawn's exit status for a guest that wants to be
// started again.
const rebootStatus = 133

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
	n, err := listenNotify()
	if err != nil {
		return ending{reason: err}
	}
	defer n.Close()
	log, err := openConsole(h.Paths.Log(h.name))
	if err != nil {
		return ending{reason: err}
	}
	defer log.Close()
	cmd, err := h.command(n.Address(), log.file, lost)
	if err != nil {
		return ending{reason: err}
	}
	h.setState(container.Starting, "")
	if err := h.guestGroup(h.name).Start(cmd); err != nil {
		return ending{reason: err}
	}
	h.say("ok")
	go n.Listen(cmd.Process.Pid)
	go log.Rotate()
	e := h.stay(cmd, n)
	if e.how == failed && e.reason == nil {
		e.reason = fmt.Errorf("systemd-nspawn ended with an error: %s", cmp.Or(log.LastLine(), "it does not say which"))
	}
	return e
}

// say tells who started the shim how far the container is: "ok" when its
// process exists, "ready" when its guest is. Only the first time of each
// counts, and nobody may listen any more.
func (h *shim) say(word string) { fmt.Fprintln(h.report, word) }

// command is `berth run NAME`, which becomes systemd-nspawn.
func (h *shim) command(notify string, console *os.File, lost string) (*exec.Cmd, error) {
	stderr, err := os.OpenFile(h.stderrFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(h.Program, "--root", h.Paths.Root, "run", "--embedded", "--lost", lost, string(h.name))
	cmd.Env = []string{"NOTIFY_SOCKET=" + notify, "PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = console, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS}
	return cmd, nil
}

func (h *shim) stderrFile() string { return filepath.Join(h.Paths.Run(h.name), "stderr") }

// stay hears from the guest and the owner until the guest ends.
func (h *shim) stay(cmd *exec.Cmd, n *notify) ending {
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	start, cancel := contextUntil(h.rec.Spec.TimeoutStartSec)
	defer cancel()
	again := time.NewTicker(resend)
	again.Stop()
	e := ending{}
	late := false
	for {
		select {
		case pid := <-n.leader:
			h.setLeader(pid)
		case <-n.ready:
			cancel()
			if e.wasReady = true; h.stopping {
				again.Reset(time.Nanosecond) // what it was asked before may be lost
			} else {
				h.setState(container.Running, "")
				h.say("ready")
			}
		case s := <-h.signals:
			h.stopping = true
			if s == unix.SIGUSR1 {
				h.killGuest(cmd)
				continue
			}
			h.setState(container.Stopping, "")
			again.Reset(time.Nanosecond)
		case <-again.C:
			h.ask(again, e.wasReady)
			_ = h.leaveGroup() // which takes long, now that the guest does so too; leave tells of errors
		case <-start.Done():
			if start.Err() == context.DeadlineExceeded && !e.wasReady && !late && !h.updates(h.name) {
				late = true
				h.killGuest(cmd)
			}
			start = context.Background()
		case err := <-exited:
			e.how, e.reason = h.judge(err, late)
			return e
		}
	}
}

// killGuest kills systemd-nspawn, which may not be in the guest's cgroup yet,
// and then all that is.
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
	case errors.As(err, &exit) && exit.ExitCode() == rebootStatus:
		return rebooted, nil
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return failed, fmt.Errorf("systemd-nspawn was ended by %v", exit.Sys().(syscall.WaitStatus).Signal())
	}
	if text := h.lastWords(); text != "" {
		return failed, errors.New(text)
	}
	return failed, nil
}

// lastWords is what the container's process said on its error stream: at most
// the last 1,000 bytes as one line.
func (h *shim) lastWords() string {
	b, err := os.ReadFile(h.stderrFile())
	if err != nil {
		return ""
	}
	var lines []string
	for line := range strings.Lines(string(b[max(0, len(b)-1000):])) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "berth: ")
		if line != "" && !strings.Contains(line, harmless) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// harmless is part of what systemd-nspawn says where /run is not in memory.
const harmless = "Attempted to remove disk file system under"
