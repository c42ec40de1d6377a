package systemd

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// observation is what the properties of a unit say of its container; see
// org.freedesktop.systemd1(5).
func (s *Supervisor) observation(n container.Name, props map[string]any) supervise.Observation {
	active := text(props, "ActiveState")
	o := supervise.Observation{State: stateOf(active, hasJobOf(props, "start", "restart")), Since: when(props, "StateChangeTimestamp")}
	if !o.State.Alive() {
		return s.ended(n, o.State, props)
	}
	t, err := readTally(s.tallyFile(n))
	if o.Restarts = t.Restarts; err == nil && t.Waiting && o.State == container.Starting {
		o.State, o.Reason = container.Restarting, t.Reason
		return o
	}
	o.Failure = t.Reason
	o.Leader, o.Started = leaderOf(int(number(props, "MainPID")))
	switch {
	case o.State != container.Running:
	case o.Leader == 0: // it has ended, which systemd-nspawn is about to tell
		o.State = container.Stopping
	case s.frozen(props):
		o.State = container.Paused
	}
	return o
}

// ended is a container whose unit is not active. Why it failed is what was
// kept, or else what the unit tells.
func (s *Supervisor) ended(n container.Name, st container.State, props map[string]any) supervise.Observation {
	f, err := state.ReadFailure(s.Paths.Container(n))
	if result := text(props, "Result"); st == container.Failed && (f == nil || err != nil) {
		status := strconv.FormatUint(number(props, "ExecMainStatus"), 10)
		f = &state.Failure{Since: when(props, "InactiveEnterTimestamp"), Reason: reasonOf(result, status)}
	}
	o := supervise.Ended(f)
	_, err = os.Lstat(s.Paths.Run(n))
	o.Leftover = err == nil
	return o
}

// wasReady reports whether the guest was ready in this run of the unit, or in
// the last one.
func wasReady(props map[string]any) bool {
	ready := number(props, "ActiveEnterTimestampMonotonic")
	return ready != 0 && ready >= number(props, "InactiveExitTimestampMonotonic")
}

func (s *Supervisor) frozen(props map[string]any) bool {
	path := text(props, "ControlGroup")
	return path != "" && s.Cgroups.Group(strings.TrimPrefix(path, "/")).Frozen()
}

// hasJobOf reports whether a job of one of these types for the unit waits or
// runs; see JobType in org.freedesktop.systemd1(5).
func hasJobOf(props map[string]any, types ...string) bool {
	return slices.Contains(types, text(props, "JobType"))
}

// atRest reports whether a unit, of which all properties are given, neither runs
// nor is going to.
func atRest(props map[string]any) bool {
	active := text(props, "ActiveState")
	return (active == "inactive" || active == "failed") && !hasJob(props)
}

func hasJob(props map[string]any) bool {
	job, _ := props["Job"].([]any)
	if len(job) == 0 {
		return false
	}
	id, _ := job[0].(uint32)
	return id != 0
}

// stateOf is the state of a unit; job tells whether one to start it waits.
func stateOf(active string, job bool) container.State {
	switch active {
	case "active", "reloading", "refreshing":
		return container.Running
	case "activating":
		return container.Starting
	case "deactivating":
		return container.Stopping
	}
	switch {
	case job:
		return container.Starting
	case active == "failed":
		return container.Failed
	}
	return container.Stopped
}

// leaderOf is the guest's init, as the child of systemd-nspawn that is in
// another PID namespace; 0 where there is none. The kernel may leave a child out
// while another one ends, so that none is looked for again.
func leaderOf(nspawn int) (pid int, started uint64) {
	for range 3 {
		if pid, started = childOf(nspawn); pid != 0 || nspawn <= 0 {
			break
		}
	}
	return pid, started
}

func childOf(nspawn int) (pid int, started uint64) {
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

// when is a time that the kernel's clock of the day had.
func when(props map[string]any, key string) time.Time {
	if usec := number(props, key); usec > 0 {
		return time.UnixMicro(int64(usec))
	}
	return time.Time{}
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
