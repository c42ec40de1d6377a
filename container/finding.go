package container

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Good Severity = "ok"
	Warn Severity = "warning" // works, with a loss
	Bad  Severity = "error"   // does not work
)

// Finding is one thing that was checked of the host.
type Finding struct {
	Check    string   `json:"check"` // such as "kernel"
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`             // what was found
	Remedy   string   `json:"remedy,omitempty"` // what to do about it
}
