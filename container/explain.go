package container

// Support says who does on a host what a key wants.
type Support string

// How a host supports a key.
const (
	Native   Support = "native"   // the host's systemd does it
	Emulated Support = "emulated" // berth does it itself, with any systemd
	Missing  Support = "missing"  // nobody does: the host cannot, or berth cannot yet
)

// Explanation is what one host makes of a key.
type Explanation struct {
	Key     string  `json:"key"`
	Type    string  `json:"type"`    // as in Key
	Default string  `json:"default"` // as in Key
	Effect  Effect  `json:"effect"`  // as in Key
	Doc     string  `json:"doc"`     // as in Key
	Support Support `json:"support"`
	By      string  `json:"by"` // what does it, for people; or why it is missing
	// Since is the first systemd that does it; 0 where the support is not
	// native, or where every systemd does.
	Since int      `json:"since,omitempty"`
	Notes []string `json:"notes,omitempty"` // what else there is to know on this host
}
