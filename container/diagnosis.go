package container

import "time"

// Diagnosis is why a container is as it is.
type Diagnosis struct {
	Name     Name      `json:"name"`
	State    State     `json:"state"`
	Since    time.Time `json:"since,omitzero"`     // of State
	Restarts int       `json:"restarts,omitempty"` // after failures, since the last start by an owner
	Causes   []Cause   `json:"causes"`             // the most likely one first; none where all is well
}

// Cause is one thing that may be the matter with a container.
type Cause struct {
	Kind  CauseKind `json:"kind"`
	Text  string    `json:"text"`            // one sentence, for people
	Lines []string  `json:"lines,omitempty"` // what a program said of it
}

// CauseKind says what a cause is about.
type CauseKind string

// The kinds of causes.
const (
	CauseUpdate  CauseKind = "update"  // it installs an update before it gets ready
	CauseStart   CauseKind = "start"   // it could not start now
	CauseMemory  CauseKind = "memory"  // the kernel killed something for want of memory
	CauseTasks   CauseKind = "tasks"   // the kernel refused a process beyond limits.tasksMax
	CauseEnd     CauseKind = "end"     // why it ended, as its supervisor knows
	CauseNspawn  CauseKind = "nspawn"  // what systemd-nspawn itself complained of
	CauseDenied  CauseKind = "denied"  // the kernel refused something
	CauseUnits   CauseKind = "units"   // units of the guest failed
	CauseHealth  CauseKind = "health"  // the health check of a running guest fails
	CauseJobs    CauseKind = "jobs"    // units of the guest that are just starting
	CauseLost    CauseKind = "lost"    // the host cannot do what is wanted
	CausePending CauseKind = "pending" // a change that waits for the next start
	CauseConsole CauseKind = "console" // what the guest wrote last
)
