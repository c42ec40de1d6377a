// Package supervise says what keeps a container's process: a supervisor that
// starts it, knows when the guest is ready, restarts it when it fails, and
// stops it. The supervisors are in the packages below.
package supervise

import (
	"context"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Supervisor keeps the processes of containers. Its caller makes sure that
// only one call for the same container changes anything at a time.
type Supervisor interface {
	// Start starts a container that is not alive, and returns as soon as its
	// process exists.
	Start(ctx context.Context, n container.Name) error
	// Stop asks the guest to shut down, kills it when limit has passed, and
	// returns when nothing of it is left. A limit of 0 kills at once. It is no
	// error if nothing runs.
	Stop(ctx context.Context, n container.Name, limit time.Duration) error
	// Observe looks at a container.
	Observe(n container.Name) (Observation, error)
	// Await returns the first observation for which done is true.
	Await(ctx context.Context, n container.Name, done func(Observation) bool) (Observation, error)
}

// Killer is a Supervisor that can kill a guest that somebody else waits for.
type Killer interface {
	// Kill kills the guest, if there is one, and does not wait for the end.
	Kill(ctx context.Context, n container.Name) error
}

// Grouper is a Supervisor that has a control group for each guest that runs.
type Grouper interface {
	// Freeze pauses a running guest, or resumes it.
	Freeze(n container.Name, on bool) error
	// SetLimits makes l the limits of the running guest.
	SetLimits(n container.Name, l container.Limits) error
	// Usage is what the running guest takes; zero for one that does not run.
	Usage(n container.Name) container.Usage
	// GroupPath is the cgroup of the container, such as "/berth/web", as the
	// kernel has it, or the end of it.
	GroupPath(n container.Name) string
}

// Native is a Supervisor whose guests are units of the machine's own systemd.
// What users know from systemd-run and machinectl is how programs get into
// them: as units of the guests' own systemd, where nothing else is asked for.
type Native interface {
	// Carries says what systemd has for a key of a spec, if it has something.
	Carries(key string) (Carried, bool)
	// Machined are the LoadState and ActiveState of systemd-machined, in the
	// words of org.freedesktop.systemd1(5).
	Machined(ctx context.Context) (load, active string, err error)
}

// Carried is what carries out a key.
type Carried struct {
	By    string // for people, such as "DeviceAllow= of its unit"
	Since int    // the first systemd that has it
}

// Installer is a Supervisor that has parts to install on the machine, so that
// containers start when it boots.
type Installer interface {
	// Install puts them in place, and returns what it made.
	Install(ctx context.Context) ([]string, error)
	// Uninstall removes them, and returns what it removed.
	Uninstall(ctx context.Context) ([]string, error)
	// Installed reports whether they are in place.
	Installed() bool
}

// Inspector is an Installer whose parts can be another berth's.
type Inspector interface {
	// Unfit says, for people, which of the installed parts do not fit this berth,
	// and how.
	Unfit() []string
}

// Configurer is a Supervisor under which others than berth start containers too,
// such as systemctl.
type Configurer interface {
	// Configure has the next start of a container that does not run be as its
	// spec wants it, whoever asks for it.
	Configure(ctx context.Context, n container.Name) error
}

// Preparer is a Supervisor that has something to do for all containers when the
// machine has booted, whether berth starts them or not.
type Preparer interface {
	Prepare(ctx context.Context) error
}

// Locator is a Supervisor that finds a guest faster than by Observe.
type Locator interface {
	// Locate tells State, which is Running or Paused, Leader and Started of a
	// guest; ok is false where only Observe can tell.
	Locate(n container.Name) (o Observation, ok bool)
}

// Recorder is a Supervisor that keeps what guests write to their consoles.
type Recorder interface {
	// Console calls line with each line of the console log, and about when it
	// was written: the last ones, or all if last is negative. If follow is not
	// nil it is called then, and line with those that come until ctx ends. A
	// container that never ran has none.
	Console(ctx context.Context, n container.Name, last int, line func(time.Time, []byte), follow func()) error
}

// Keeper is a Supervisor that keeps things beside the containers themselves.
type Keeper interface {
	// Forget removes what is kept of a container that is gone for good.
	Forget(n container.Name) error
	// Kept are the names of containers of which something is there that a
	// running guest has: it is left over unless one runs.
	Kept() ([]container.Name, error)
	// RestoreSettings puts settings of the machine back that were changed for
	// guests, where none is left.
	RestoreSettings() error
}

// Server is a Supervisor that has processes serve guests: one names, one HTTP.
type Server interface {
	// Serve starts those that a lease needs and that do not run, and returns when
	// they serve.
	Serve(ctx context.Context) error
}

// Observation is what a supervisor sees of one container.
type Observation struct {
	State    container.State
	Since    time.Time // of State; zero where nobody knows
	Leader   int       // the host's PID of the guest's init, or 0
	Started  uint64    // when the leader did; see process.StartTime
	Restarts int       // after failures, since the last Start
	Reason   string    // why it failed or restarts
	Failure  string    // why the last of the Restarts was needed, of one that runs again
	TimedOut bool      // it failed because the guest was not ready in time
	Leftover bool      // nothing runs, but something is to be cleaned up
}

// Ended is a container that is not alive, after its last start failed so, or
// did not fail if that is nil or the end was asked for.
func Ended(f *state.Failure) Observation {
	if f == nil || f.Asked {
		return Observation{State: container.Stopped}
	}
	return Observation{State: container.Failed, Since: f.Since, Reason: f.Reason, TimedOut: f.TimedOut, Restarts: f.Restarts}
}

// Others is a Supervisor that reaches units of the machine's systemd which are
// not berth's, such as those of the NixOS module.
type Others interface {
	// Other looks at the unit of a guest; ok is false where there is none of this
	// name, or it is another name of one of berth's.
	Other(ctx context.Context, unit string) (o Observation, ok bool, err error)
	// Order has it start, stop, reload or be killed, and returns when it has.
	Order(ctx context.Context, unit string, what Order) error
}

// Order is what a unit is to do.
type Order string

// The orders. Kill ends it at once.
const (
	OrderStart  Order = "start"
	OrderStop   Order = "stop"
	OrderReload Order = "reload"
	OrderKill   Order = "kill"
)
