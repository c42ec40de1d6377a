package container

import "time"

// IngressStatus is how one of the names for which the host answers HTTP fares.
type IngressStatus struct {
	Ingress
	// Reach is whether the guest answered when it was last asked, Since when that
	// is so, and Reason why it did not.
	Reach  Reach     `json:"reach"`
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Expires is the end of the certificate that is in use; there may be none yet.
	Expires time.Time `json:"expires,omitzero"`
	// Trouble says for people what is wrong with the certificate or with the
	// host's ports.
	Trouble string `json:"trouble,omitempty"`
}

// Reach is whether the host reaches a guest's port.
type Reach string

// The values of Reach.
const (
	Untried   Reach = "untried" // nobody has asked yet
	Reached   Reach = "yes"
	Unreached Reach = "no"
)
