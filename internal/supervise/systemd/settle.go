package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/inotify"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/state"
)

// ending is how one run of a unit's main process ended, as systemd tells those
// who come after it; see $SERVICE_RESULT in systemd.exec(5).
type ending struct {
	result   string // such as "exit-code"
	status   string // of the exit, or the signal's name
	ready    bool   // the guest had been
	stopping bool   // somebody asked for the end
	ran      time.Duration
}

// rebooted and poweredOff are ends that the guest wanted. Where it never was
// ready, systemd misses READY=1, and calls that a breach of the protocol.
func (e *ending) rebooted() bool { return e.status == strconv.Itoa(nspawn.RebootStatus) && e.wanted() }

func (e *ending) poweredOff() bool { return e.status == "0" && e.wanted() }

func (e *ending) wanted() bool { return e.result == "success" || e.result == "protocol" }

// Settle is the command `berth settle NAME`, which a unit runs whenever its
// main process has ended. It decides whether systemd's restart of a guest that
// failed is wanted, keeps the reason where it is not, and cleans up.
func (s *Supervisor) Settle(ctx context.Context, n container.Name) error {
	if _, err := os.Lstat(s.Paths.Container(n)); errors.Is(err, fs.ErrNotExist) { // berth run has said so
		return errors.Join(s.stopSoon(ctx, n), s.gone(n))
	}
	props, err := s.properties(ctx, n)
	if err != nil {
		return err
	}
	now, err := s.some(ctx, s.unit(n))
	if err != nil {
		return err
	}
	t, err := readTally(s.tallyFile(n))
	if err != nil {
		return err
	}
	e := endingOf(props, hasJobOf(now, "stop", "restart", "try-restart"))
	t.Ready = t.Ready || e.ready
	switch {
	case e.rebooted() && !e.stopping:
		return errors.Join(state.WriteRuntimeJSON(s.tallyFile(n), t), s.prepareUpdate(ctx, n))
	case e.poweredOff() && e.result != "success" && !e.stopping:
		return errors.Join(s.stopSoon(ctx, n), s.gone(n))
	case e.stopping && e.result != "success":
		return errors.Join(state.WriteFailure(s.Paths.Container(n), state.Failure{Since: time.Now(), Asked: true}), s.gone(n))
	case e.poweredOff() || e.stopping:
		return errors.Join(state.RemoveFailure(s.Paths.Container(n)), s.gone(n))
	}
	reason := s.reason(n, e)
	switch {
	case registrationFailed(reason) && t.Retries < mostRetries:
		t.Retries++
		return state.WriteRuntimeJSON(s.tallyFile(n), t)
	case t.Ready:
		t.failed(reason, e.ran)
		return errors.Join(tell(n, reason), state.WriteRuntimeJSON(s.tallyFile(n), t))
	}
	return errors.Join(tell(n, reason), s.giveUp(ctx, n, state.Failure{Since: time.Now(), Reason: reason, TimedOut: e.result == "timeout"}))
}

// prepareUpdate gives a guest that reboots to install an update its time.
func (s *Supervisor) prepareUpdate(ctx context.Context, n container.Name) error {
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil || !updatesOffline(s.Paths, rec) {
		return err
	}
	return s.configure(ctx, rec)
}

// giveUp keeps systemd from starting again what failed at its first start: the
// job for that is still there.
func (s *Supervisor) giveUp(ctx context.Context, n container.Name, f state.Failure) error {
	return errors.Join(state.WriteFailure(s.Paths.Container(n), f), s.stopSoon(ctx, n), s.gone(n))
}

// stopSoon asks for the end of the unit, and does not wait.
func (s *Supervisor) stopSoon(ctx context.Context, n container.Name) error {
	_, err := s.beginStop(ctx, n)
	return err
}

// gone removes what a guest that has ended for good had on the host. The
// control group of its unit is still there.
func (s *Supervisor) gone(n container.Name) error {
	if err := s.detach(context.Background(), n); err != nil {
		return err
	}
	return errors.Join(state.RemoveTree(s.Paths.Run(n)), inotify.Restore(s.Cgroups, 1))
}

// endingOf reads how a run ended, from the environment of the command and the
// properties of the unit.
func endingOf(props map[string]any, stopping bool) ending {
	begun := number(props, "InactiveExitTimestampMonotonic")
	e := ending{
		result: os.Getenv("SERVICE_RESULT"), status: os.Getenv("EXIT_STATUS"),
		ready: wasReady(props), stopping: stopping,
	}
	if now := number(props, "StateChangeTimestampMonotonic"); now > begun {
		e.ran = time.Duration(now-begun) * time.Microsecond
	}
	return e
}

// mostRetries bounds the retries after failures of systemd-machined.
const mostRetries = 5

// registrationFailed reports whether a guest could not be made known to
// systemd-machined: because that was just restarted, or has not yet noticed
// that the last run has ended.
func registrationFailed(reason string) bool {
	return strings.Contains(reason, "register machine") || strings.Contains(reason, "already exists")
}

// reason is why a run failed, for people.
func (s *Supervisor) reason(n container.Name, e ending) string {
	if e.result == "timeout" && !e.ready {
		limit := "time"
		if rec, err := state.ReadRecord(s.Paths.Container(n)); err == nil {
			limit = rec.Spec.TimeoutStartSec.String()
		}
		return fmt.Sprintf("%v: the guest did not say READY=1 within %s", container.ErrNotReady, limit)
	}
	if b, err := os.ReadFile(s.Paths.Stderr(n)); err == nil && e.result == "exit-code" {
		if words := nspawn.LastWords(b); words != "" {
			return words
		}
	}
	return reasonOf(e.result, e.status)
}

// tell writes the reason of a failure to the journal, as of the unit.
func tell(n container.Name, reason string) error {
	return journal.Send(reason, journal.PriErr, map[string]string{"SYSLOG_IDENTIFIER": "berth", "CONTAINER_NAME": string(n)})
}

// reasonOf is the result of a unit in words.
func reasonOf(result, status string) string {
	switch result {
	case "exit-code":
		if status == "203" {
			return "systemd could not run berth: is the program that the unit names still there?"
		}
		if status == "243" {
			return "systemd could not load its credentials: are the files there, and encrypted for this host?"
		}
		return "systemd-nspawn ended with status " + status
	case "signal", "core-dump":
		return "systemd-nspawn was ended by signal " + status
	case "oom-kill":
		return "the kernel killed it for want of memory"
	case "success", "":
		return ""
	case "timeout":
		return "the guest did not say READY=1 in time, or did not shut down in time"
	case "start-limit-hit":
		return "it failed too often in a short time"
	case "resources":
		return "systemd could not set up its unit"
	}
	return result
}
