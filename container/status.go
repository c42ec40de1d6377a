package container

import (
	"strings"
	"time"
)

// State is what a container is doing.
type State string

// The states of a container.
const (
	Stopped      State = "stopped"      // no process
	Starting     State = "starting"     // the guest has not said READY=1 yet
	Running      State = "running"      // the guest is ready
	Stopping     State = "stopping"     // the guest is shutting down
	Restarting   State = "restarting"   // the guest ended; its supervisor starts it again
	Paused       State = "paused"       // its processes are frozen
	Failed       State = "failed"       // it ended and is not started again; Status.Reason says why
	Unsupervised State = "unsupervised" // the guest runs but its supervisor is gone
)

// Alive reports whether processes of the container exist or are about to.
func (s State) Alive() bool {
	return s != Stopped && s != Failed
}

// Status is what is observed of one container at one moment.
type Status struct {
	Name     Name      `json:"name"`
	State    State     `json:"state"`
	Owner    Owner     `json:"owner"`
	Reason   string    `json:"reason,omitempty"`   // why it failed or restarts, for people
	Leader   int       `json:"leader,omitempty"`   // the host's PID of the guest's init
	Since    time.Time `json:"since,omitzero"`     // of State
	Restarts int       `json:"restarts,omitempty"` // since the last start by an owner
	Failure  string    `json:"failure,omitempty"`  // why the last of these was needed, for people
	Image    string    `json:"image,omitempty"`    // where the guest comes from, as declared
	Digest   Digest    `json:"digest,omitempty"`   // the image that it boots
	System   StorePath `json:"system,omitempty"`   // or the NixOS system
	// OwnSystem is the NixOS system to which the guest has switched itself since
	// it was given System.
	OwnSystem StorePath `json:"ownSystem,omitempty"`
	UIDBase   uint32    `json:"uidBase,omitempty"` // the host's number of the guest's root; 0: no range
	Labels    Labels    `json:"labels,omitempty"`
	// HostNetwork is set where the guest has the host's network; otherwise Links
	// are its interfaces.
	HostNetwork bool         `json:"hostNetwork,omitempty"`
	Links       []LinkStatus `json:"links,omitempty"`
	// NetworkNamespace is that of somebody else which the guest joins.
	NetworkNamespace string `json:"networkNamespace,omitempty"`
	// Generation is the number of what it boots: of the running guest, where there
	// is one.
	Generation int `json:"generation,omitempty"`
	// Health is what its health check says, where it was asked.
	Health *Health `json:"health,omitempty"`
	// Pending holds what the owner wants and the running guest does not have
	// yet; it takes effect with the next start.
	Pending []Change `json:"pending,omitempty"`
	// Ingress is how the names fare for which the host answers HTTP, while the
	// guest runs.
	Ingress []IngressStatus `json:"ingress,omitempty"`
	// Lost names what the guest goes without on this host, such as a user
	// namespace, and why.
	Lost []string `json:"lost,omitempty"`
}

// Owner says who declared a container: "cli", "file:" and the absolute path of
// a declaration, or "flake:" and the reference of one from elsewhere.
type Owner string

// OwnerCLI owns the containers that commands made.
const OwnerCLI Owner = "cli"

// File is the path of the declaration; false for an owner that is none.
func (o Owner) File() (string, bool) { return strings.CutPrefix(string(o), "file:") }

// OwnerFlake is the owner of the containers of a flake that is not on this
// host.
func OwnerFlake(ref string) Owner { return Owner("flake:" + ref) }

// OwnerFile is the owner of the containers of the declaration at path.
func OwnerFile(path string) Owner { return Owner("file:" + path) }

// Usage is what a guest takes of the host.
type Usage struct {
	Memory   uint64 // bytes
	OOMKills uint64 // processes that the kernel killed for want of memory
}
