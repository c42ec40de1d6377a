package systemd

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/supervise"
)

// observation is what the properties of a unit say of its container; see
// org.freedesktop.systemd1(5).
func (s *Supervisor) observation(n container.Name, props map[string]any) supervise.Observation {
	active, sub := text(props, "ActiveState"), text(props, "SubState")
	o := supervise.Observation{State: stateOf(active, sub, hasJob(props)), Restarts: int(number(props, "NRestarts"))}
	if usec := number(props, "StateChangeTimestamp"); usec > 0 {
		o.Since = time.UnixMicro(int64(usec))
	}
	switch o.State {
	case container.Failed, container.Restarting, container.Stopping:
		o.TimedOut = text(props, "Result") == "timeout"
		o.Reason = reasonOf(text(props, "Result"), int(number(props, "ExecMainStatus")))
	case container.Stopped:
		return s.ended(n)
	}
	if text(props, "FreezerState") == "frozen" || o.State == container.Running && s.frozen(props) {
		o.State = container.Paused
	}
	o.Leader, o.Started = leaderOf(int(number(props, "MainPID")))
	return o
}

// ended is a container whose unit is not active.
func (s *Supervisor) ended(n container.Name) supervise.Observation {
	o := supervise.Observation{State: container.Stopped}
	if f, err := s.readFailure(n); err == nil && f != nil {
		o = supervise.Observation{State: f.State, Since: f.Since, Reason: f.Reason, TimedOut: f.TimedOut}
	}
	_, err := os.Lstat(s.Paths.Run(n))
	o.Leftover = err == nil
	return o
}

func (s *Supervisor) frozen(props map[string]any) bool {
	path := text(props, "ControlGroup")
	return path != "" && s.Cgroups.Group(strings.TrimPrefix(path, "/")).Frozen()
}

// hasJob reports whether a job for the unit waits or runs.
func hasJob(props map[string]any) bool {
	job, _ := props["Job"].([]any)
	if len(job) == 0 {
		return false
	}
	id, _ := job[0].(uint32)
	return id != 0
}

func stateOf(active, sub string, job bool) container.State {
	switch active {
	case "inactive", "failed":
		if job { // which can only be one to start it
			return container.Starting
		}
	case "active", "reloading", "refreshing":
		return container.Running
	case "activating":
		if strings.HasPrefix(sub, "auto-restart") {
			return container.Restarting
		}
		return container.Starting
	case "deactivating":
		return container.Stopping
	}
	if active == "failed" {
		return container.Failed
	}
	return container.Stopped
}

// reasonOf is the result of a unit in words.
func reasonOf(result string, status int) string {
	switch result {
	case "exit-code":
		return fmt.Sprintf("systemd-nspawn ended with status %d", status)
	case "signal", "core-dump":
		return fmt.Sprintf("systemd-nspawn was ended by signal %d", status)
	case "oom-kill":
		return "the kernel killed it for want of memory"
	case "success":
		return ""
	case "timeout":
		return "the guest did not say READY=1 in time, or did not shut down in time"
	case "start-limit-hit":
		return "it was started too often in a short time"
	}
	return result
}

// leaderOf is the guest's init, as the child of systemd-nspawn that is in
// another PID namespace.
func leaderOf(nspawn int) (pid int, started uint64) {
	if nspawn <= 0 {
		return 0, 0
	}
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", nspawn))
	if err != nil {
		return 0, 0
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	for f := range bytes.FieldsSeq(children) {
		child, err := strconv.Atoi(string(f))
		if err != nil {
			continue
		}
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", child))
		if err != nil || ns == own {
			continue
		}
		if started, err := process.StartTime(child); err == nil {
			return child, started
		}
	}
	return 0, 0
}

// text and number read a property of any type that D-Bus may have sent.
func text(props map[string]any, key string) string {
	v, _ := props[key].(string)
	return v
}

func number(props map[string]any, key string) uint64 {
	switch v := props[key].(type) {
	case uint32:
		return uint64(v)
	case uint64:
		return v
	case int32:
		return uint64(max(v, 0))
	case int64:
		return uint64(max(v, 0))
	}
	return 0
}
