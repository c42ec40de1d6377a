package systemd

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// newSubject is a supervisor without a systemd, for what is said of properties.
func newSubject(t *testing.T) *Supervisor {
	t.Helper()
	s := &Supervisor{Paths: state.Paths{Root: t.TempDir()}}
	must(t, os.MkdirAll(s.Paths.Container("web"), 0o700))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestObservation(t *testing.T) {
	t.Parallel()
	since := time.UnixMicro(1_700_000_000_000_000)
	unit := func(active string, more ...any) map[string]any {
		p := map[string]any{"ActiveState": active, "StateChangeTimestamp": uint64(since.UnixMicro()), "InactiveEnterTimestamp": uint64(since.UnixMicro())}
		for i := 0; i < len(more); i += 2 {
			p[more[i].(string)] = more[i+1]
		}
		return p
	}
	waiting := tally{Ready: true, Restarts: 3, Waiting: true, Reason: "it broke"}
	kept := &state.Failure{Since: since.Add(time.Hour).UTC(), Reason: "the image has no init", TimedOut: true}
	for name, c := range map[string]struct {
		props   map[string]any
		tally   tally
		failure *state.Failure
		want    supervise.Observation
	}{
		"never started": {unit("inactive"), tally{}, nil, supervise.Observation{State: container.Stopped}},
		"failed, and kept": {unit("failed", "Result", "exit-code"), tally{}, kept,
			supervise.Observation{State: container.Failed, Since: kept.Since, Reason: kept.Reason, TimedOut: true}},
		"failed, before a boot": {unit("inactive"), tally{}, kept,
			supervise.Observation{State: container.Failed, Since: kept.Since, Reason: kept.Reason, TimedOut: true}},
		"failed, and nobody could keep why": {unit("failed", "Result", "signal", "ExecMainStatus", int32(9)), tally{}, nil,
			supervise.Observation{State: container.Failed, Since: since, Reason: "systemd-nspawn was ended by signal 9"}},
		"asked to end, and ended badly": {unit("failed", "Result", "exit-code", "ExecMainStatus", int32(2)), tally{}, &state.Failure{Since: since, Asked: true},
			supervise.Observation{State: container.Stopped}},
		"without a program": {unit("failed", "Result", "exit-code", "ExecMainStatus", int32(203)), tally{}, nil,
			supervise.Observation{State: container.Failed, Since: since, Reason: "systemd could not run berth: is the program that the unit names still there?"}},
		"to be started": {unit("inactive", "JobType", "start"), tally{}, nil, supervise.Observation{State: container.Starting, Since: since}},
		"to be stopped": {unit("inactive", "JobType", "stop"), tally{}, nil, supervise.Observation{State: container.Stopped}},
		"starting":      {unit("activating"), tally{}, nil, supervise.Observation{State: container.Starting, Since: since, Leftover: false}},
		"rebooting":     {unit("activating", "SubState", "auto-restart", "NRestarts", uint32(7)), tally{Ready: true}, nil, supervise.Observation{State: container.Starting, Since: since}},
		"restarting": {unit("activating"), waiting, nil,
			supervise.Observation{State: container.Restarting, Since: since, Restarts: 3, Reason: "it broke"}},
		"ended just now": {unit("active"), waiting, nil, supervise.Observation{State: container.Stopping, Since: since, Restarts: 3, Failure: "it broke"}},
		"stopping":       {unit("deactivating"), tally{}, nil, supervise.Observation{State: container.Stopping, Since: since}},
		"of odd types":   {map[string]any{"ActiveState": 7, "JobType": 5, "MainPID": "y"}, tally{}, nil, supervise.Observation{State: container.Stopped}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t)
			if c.tally != (tally{}) {
				must(t, os.MkdirAll(s.Paths.Run("web"), 0o700))
				must(t, state.WriteRuntimeJSON(s.tallyFile("web"), c.tally))
			}
			if c.failure != nil {
				must(t, state.WriteFailure(s.Paths.Container("web"), *c.failure))
			}
			if diff := cmp.Diff(c.want, s.observation("web", c.props)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		active string
		job    bool
		want   container.State
	}{
		{"inactive", false, container.Stopped}, {"inactive", true, container.Starting}, {"failed", true, container.Starting},
		{"failed", false, container.Failed}, {"active", true, container.Running}, {"reloading", false, container.Running},
		{"refreshing", false, container.Running}, {"activating", false, container.Starting}, {"deactivating", true, container.Stopping},
		{"maintenance", false, container.Stopped},
	} {
		if got := stateOf(c.active, c.job); got != c.want {
			t.Errorf("%s, job %v: %s, not %s", c.active, c.job, got, c.want)
		}
	}
}

// TestReason is why a run failed: what nspawn said, or else what systemd knows.
func TestReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		e      ending
		stderr string
		want   string
	}{
		"what it said":      {ending{result: "exit-code", status: "1"}, "berth: bindMounts./srv: gone\n", "bindMounts./srv: gone"},
		"it said nothing":   {ending{result: "exit-code", status: "1"}, "", "systemd-nspawn ended with status 1"},
		"killed":            {ending{result: "signal", status: "KILL"}, "Trying to halt container.\n", "systemd-nspawn was ended by signal KILL"},
		"too slow":          {ending{result: "timeout"}, "", "not ready in time: the guest did not say READY=1 within 2s"},
		"does not end":      {ending{result: "timeout", ready: true}, "", "the guest did not say READY=1 in time, or did not shut down in time"},
		"out of memory":     {ending{result: "oom-kill"}, "", "the kernel killed it for want of memory"},
		"some other result": {ending{result: "watchdog"}, "", "watchdog"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t)
			rec := state.Record{Name: "web", Spec: container.DefaultSpec()}
			rec.Spec.TimeoutStartSec = container.Duration(2 * time.Second)
			must(t, state.WriteRecord(s.Paths.Container("web"), rec))
			must(t, os.MkdirAll(s.Paths.Run("web"), 0o700))
			must(t, os.WriteFile(s.Paths.Stderr("web"), []byte(c.stderr), 0o600))
			if got := s.reason("web", c.e); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRegistrationFailed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"Failed to register machine: Machine 'web' already exists":         true,
		"Failed to register machine: Message recipient disconnected":       true,
		"Failed to register machine: Connection reset by peer":             true,
		"mount /srv: no such file or directory":                            false,
		"systemd-machined has a machine web already, which is not of bert": false,
		"execv(/sbin/init) failed: No such file or directory":              false,
	} {
		if registrationFailed(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestEnding(t *testing.T) {
	t.Parallel()
	for e, want := range map[ending]string{
		{result: "success", status: "0"}:    "off",
		{result: "protocol", status: "0"}:   "off",
		{result: "success", status: "133"}:  "reboot",
		{result: "protocol", status: "133"}: "reboot",
		{result: "exit-code", status: "1"}:  "failed",
		{result: "timeout", status: "0"}:    "failed",
		{result: "signal", status: "KILL"}:  "failed",
	} {
		got := "failed"
		if e.poweredOff() {
			got = "off"
		} else if e.rebooted() {
			got = "reboot"
		}
		if got != want {
			t.Errorf("%+v: %s, not %s", e, got, want)
		}
	}
}

// TestReadyOf tells a run that was ready from one that comes after it.
func TestReadyOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		begun, ready uint64
		want         bool
	}{{0, 0, false}, {5, 0, false}, {5, 3, false}, {5, 5, true}, {5, 9, true}} {
		props := map[string]any{"InactiveExitTimestampMonotonic": c.begun, "ActiveEnterTimestampMonotonic": c.ready}
		if wasReady(props) != c.want {
			t.Errorf("begun at %d, ready at %d: %v", c.begun, c.ready, !c.want)
		}
	}
}
