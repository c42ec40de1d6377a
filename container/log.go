package container

import "time"

// LogSource is where a line of a log comes from.
type LogSource string

// The sources of lines.
const (
	LogJournal LogSource = "journal" // kept by the guest's systemd-journald
	LogConsole LogSource = "console" // what the guest wrote to its console
	LogIngress LogSource = "ingress" // what the host answered for the guest
)

// LogLine is what a guest logged at a time, or the host about it. All texts are
// those of guests and clients: they may hold anything that is UTF-8.
type LogLine struct {
	Name Name `json:"name"` // of the container
	// Time is when it was logged; for the console, where berth itself keeps
	// that, it may be up to 5 seconds early.
	Time    time.Time `json:"time"`
	Source  LogSource `json:"source"`
	Message string    `json:"message"` // may have several lines; at most 64 KiB

	// Request is what Message is about, of ingress alone.
	Request *Request `json:"request,omitempty"`

	// The others are of the journal alone.

	Priority   *int   `json:"priority,omitempty"`   // 0 to 7, as in syslog(3)
	Unit       string `json:"unit,omitempty"`       // that it comes from, or is about
	Identifier string `json:"identifier,omitempty"` // the program, for people
	PID        int    `json:"pid,omitempty"`        // as the guest sees it
	Boot       string `json:"boot,omitempty"`       // of the guest, 32 hexadecimal digits
}
