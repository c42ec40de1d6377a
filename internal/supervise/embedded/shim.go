package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/inotify"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// shim is the process beside one container.
type shim struct {
	*Supervisor
	name    container.Name
	rec     *state.Record
	status  status
	report  io.Writer // for a report; its reader may have gone
	signals chan os.Signal

	readySince time.Time // of this run; zero before

	stopping bool // somebody wants the end
	asked    bool // in order, as Stop does
	stuck    bool // the root is still being put together, and nobody waits for it any more
}

// RunShim is the command `berth shim NAME`: it keeps the container n until it
// ends. It inherits two files from Start: one for its report, and the lock that
// says that there is a shim.
func (s *Supervisor) RunShim(n container.Name) error {
	debug.SetGCPercent(20) // memory counts here, speed does not
	report, lock := inherited(3, "report"), state.Inherited(inherited(4, "lock"))
	h := &shim{Supervisor: s, name: n, report: report, signals: make(chan os.Signal, 8)}
	signal.Notify(h.signals, unix.SIGTERM, unix.SIGUSR1)
	signal.Ignore(unix.SIGHUP, unix.SIGINT)
	err := h.run()
	if err != nil {
		fmt.Fprintln(report, err)
	}
	runtime.KeepAlive(lock) // it goes with the process: who sees it free sees nothing left
	return errors.Join(err, report.Close())
}

// IsShim reports whether a supervisor has started this process as a shim: with
// a pipe to report to.
func IsShim() bool { return supervise.Given(3, unix.S_IFIFO) }

// inherited is an open file that this process was started with, and that its
// children are not.
func inherited(fd int, name string) *os.File {
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

func (h *shim) run() (err error) {
	if h.rec, err = state.ReadRecord(h.Paths.Container(h.name)); err != nil {
		return err
	}
	if err := errors.Join(state.RemoveFailure(h.Paths.Container(h.name)), inotify.Reserve(h.Cgroups, 0)); err != nil {
		return err
	}
	h.status.Shim = os.Getpid()
	failure := h.supervise()
	if failure != nil {
		failure = errors.Join(failure, h.keep(failure))
	}
	if h.outlived() {
		return failure
	}
	return errors.Join(failure, h.leave(), h.RestoreSettings())
}

// outlived reports whether others clean up. A command that asked for the end,
// and waits for it with the container's lock, does it sooner than the shim
// could; see leave. A root that is still being put together goes with this
// process alone.
func (h *shim) outlived() bool { return h.stuck || h.asked && state.Held(h.Paths.Lock(h.name)) }

// keep writes down why the guest failed. The container has failed when all of
// it is cleaned up: until then it is stopping.
func (h *shim) keep(failure error) error {
	h.setState(container.Stopping, failure.Error())
	return state.WriteFailure(h.Paths.Container(h.name), state.Failure{
		Since: h.status.Since, Reason: failure.Error(), TimedOut: errors.Is(failure, container.ErrNotReady), Restarts: h.status.Restarts,
	})
}

// leave removes what the container had on the host. For that the shim moves
// out of the group that it was started in, which takes the kernel some 10 ms
// and holds up every fork meanwhile.
func (h *shim) leave() error {
	if err := h.Cgroups.Group("").Join(0); err != nil {
		return err
	}
	return h.clean(h.name)
}

// supervise runs the guest until it ends for good, and says why if that was
// not wanted.
func (h *shim) supervise() error {
	inARow := 0 // failures
	for first := true; ; first = false {
		begun := time.Now()
		end := h.runOnce()
		if h.outlived() {
			if h.stopping {
				return nil
			}
			return end.reason
		}
		if err := h.guestGroup(h.name).Kill(10 * time.Second); err != nil {
			return err
		}
		switch {
		case h.stopping || end.how == poweredOff:
			return nil
		case end.how == rebooted:
			continue
		case first && !end.wasReady:
			return end.reason
		}
		if time.Since(begun) > supervise.Stable {
			inARow = 0
		}
		inARow++
		h.status.Restarts++
		h.status.Leader, h.status.Failure = 0, end.reason.Error()
		h.setState(container.Restarting, end.reason.Error())
		if stop := h.sleep(supervise.Pause(inARow)); stop {
			return nil
		}
	}
}

// sleep waits, and reports whether an owner asked for the end meanwhile.
func (h *shim) sleep(pause time.Duration) (stop bool) {
	select {
	case <-time.After(pause):
		return false
	case <-h.signals:
		return true
	}
}

// setState makes the container's state known. That it cannot be written is
// told by the supervisor's log; the guest goes on.
func (h *shim) setState(s container.State, reason string) {
	h.status.State, h.status.Since, h.status.Reason = s, time.Now(), reason
	if err := state.WriteRuntimeJSON(h.statusFile(h.name), h.status); err != nil {
		fmt.Fprintln(os.Stderr, "berth: write status:", err)
	}
}

// prepareGroup makes the group that the guest starts in, with its limits.
func (h *shim) prepareGroup() (lost string, err error) {
	g := h.guestGroup(h.name)
	if err := g.Create(); err != nil {
		return "", err
	}
	if err := g.AllowDevices(devices(h.rec.Spec)); err != nil {
		return "", err
	}
	return setLimits(g, h.rec.Spec.Limits)
}

// setLimits says, for people, which of the limits the host cannot hold. The
// guest runs without these.
func setLimits(g cgroup.Group, l container.Limits) (lost string, err error) {
	err = g.SetLimits(l)
	if missing, ok := errors.AsType[*cgroup.MissingError](err); ok {
		return missing.Error(), nil
	}
	return "", err
}

// contextUntil is a context that ends when the guest has to be ready.
func contextUntil(limit container.Duration) (context.Context, context.CancelFunc) {
	if limit == container.Infinity || limit == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), time.Duration(limit))
}
