package state

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Paths are the directories of one berth; every file it keeps lies below one
// of them.
type Paths struct {
	Root string // what --root names; "/" by default
}

// Containers holds a directory for each container.
func (p Paths) Containers() string { return filepath.Join(p.Root, "var/lib/berth/containers") }

// Container is the directory of one container.
func (p Paths) Container(n container.Name) string { return filepath.Join(p.Containers(), string(n)) }

// Changed is the directory with what the guest of a container changed, which of
// one with a system is its whole root.
func (p Paths) Changed(r *Record) string {
	if r.Root != "" {
		return r.Root
	}
	return filepath.Join(p.Container(r.Name), Changes, "upper")
}

// OwnStore keeps what the guest of a container has in a store of its own.
func (p Paths) OwnStore(n container.Name) string {
	return filepath.Join(p.Container(n), Changes, "store")
}

// Destroyed is what is remembered of a container of nixos-container that was
// destroyed.
func (p Paths) Destroyed(n container.Name) string {
	return filepath.Join(p.AllDestroyed(), string(n)+".json")
}

// AllDestroyed holds that of all.
func (p Paths) AllDestroyed() string { return filepath.Join(p.Root, "var/lib/berth/destroyed") }

// Images holds the images.
func (p Paths) Images() string { return filepath.Join(p.Root, "var/lib/berth/images") }

// Nix holds berth's own store of Nix.
func (p Paths) Nix() string { return filepath.Join(p.Root, "var/lib/berth/nix") }

// Systems holds, for each container with a NixOS system, what keeps that in
// the store.
func (p Paths) Systems() string { return filepath.Join(p.Root, "var/lib/berth/systems") }

// Builds holds what is built for commands that are under way.
func (p Paths) Builds() string { return filepath.Join(p.Runtime(), "built") }

// BuildLock is held while one directory there is in use. No container's name
// begins with a dot.
func (p Paths) BuildLock(name string) string { return filepath.Join(p.Locks(), ".built-"+name) }

// System is the directory of one container there.
func (p Paths) System(n container.Name) string { return filepath.Join(p.Systems(), string(n)) }

// Config holds the host owner's declarations and settings.
func (p Paths) Config() string { return filepath.Join(p.Root, "etc/berth") }

// Runtime holds what lasts until the next boot.
func (p Paths) Runtime() string { return filepath.Join(p.Root, "run/berth") }

// Run is the runtime directory of one container; it exists only while the
// container has a supervisor or left something to clean up.
func (p Paths) Run(n container.Name) string {
	return filepath.Join(p.Runs(), string(n))
}

// Stderr is what berth and systemd-nspawn complained of in the container's run,
// while it lasts. It is apart from the guest's console.
func (p Paths) Stderr(n container.Name) string { return filepath.Join(p.Run(n), "stderr") }

// Runs holds the runtime directories of all containers.
func (p Paths) Runs() string { return filepath.Join(p.Runtime(), "containers") }

// Leases holds what containers have of the network while they run.
func (p Paths) Leases() string { return filepath.Join(p.Runtime(), "leases") }

// Lease is the file for one container there.
func (p Paths) Lease(n container.Name) string { return filepath.Join(p.Leases(), string(n)+".json") }

// Sieves holds the system call filters that are kept for guests.
func (p Paths) Sieves() string { return filepath.Join(p.Runtime(), "filters") }

// Networks holds the networks that were chosen.
func (p Paths) Networks() string { return filepath.Join(p.Root, "var/lib/berth/networks") }

// Network is the file of one network.
func (p Paths) Network(name string) string { return filepath.Join(p.Networks(), name+".json") }

// Ingress holds the certificates for names that the host answers for.
func (p Paths) Ingress() string { return filepath.Join(p.Root, "var/lib/berth/ingress") }

// IngressStatus is the file that says how these names fare, in a directory of
// its own.
func (p Paths) IngressStatus() string { return filepath.Join(p.Runtime(), "ingress/status.json") }

// IngressLock is held by the process that answers for them. No container's name
// begins with a dot.
func (p Paths) IngressLock() string { return filepath.Join(p.Locks(), ".ingress") }

// IngressLog is the log of what was asked for by these names. No container can
// have a console log of this name.
func (p Paths) IngressLog() string { return filepath.Join(p.Root, "var/log/berth/ingress/access.log") }

// Locks holds the lock files.
func (p Paths) Locks() string { return filepath.Join(p.Runtime(), "locks") }

// Lock is held by a command that works on the container.
func (p Paths) Lock(n container.Name) string { return filepath.Join(p.Locks(), string(n)+".lock") }

// Log is the console log of one container.
func (p Paths) Log(n container.Name) string {
	return filepath.Join(p.Root, "var/log/berth", string(n)+".log")
}

// Instance tells this berth from others on the same machine, in names that
// the whole machine shares, such as cgroups: "berth", or with --root "berth-"
// and eight hexadecimal digits of the path.
func (p Paths) Instance() string {
	if p.Root == "/" {
		return "berth"
	}
	sum := sha256.Sum256([]byte(p.Root))
	return "berth-" + hex.EncodeToString(sum[:4])
}

// maxMachineLen is the longest name of a machine, in bytes; see HOST_NAME_MAX
// in limits.h.
const maxMachineLen = 64

// IsInstance reports whether a name is one that Instance gives.
func IsInstance(name string) bool {
	digits, ok := strings.CutPrefix(name, "berth-")
	_, err := hex.DecodeString(digits)
	return name == "berth" || ok && len(digits) == 8 && err == nil
}

// Machine is the name under which systemd-nspawn knows a container: its host
// name, with digits of a hash behind it where that is too long or might be
// another container's too, and those of Instance.
func (p Paths) Machine(n container.Name) string {
	name, suffix := n.Hostname(), ""
	if p.Root != "/" {
		suffix = strings.TrimPrefix(p.Instance(), "berth")
	}
	if name != string(n) || len(name)+len(suffix) > maxMachineLen {
		sum := sha256.Sum256([]byte(n))
		suffix = "-" + hex.EncodeToString(sum[:4]) + suffix
		name = name[:min(len(name), maxMachineLen-len(suffix))]
	}
	return name + suffix
}
