package state

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
)

// recordVersion is the version of the format of spec.json.
const recordVersion = 1

// Record is what is kept of a container: its spec and what was chosen for it
// once. It is the file spec.json in the container's directory.
type Record struct {
	Version   int              `json:"version"`
	Name      container.Name   `json:"name"`
	Owner     container.Owner  `json:"owner"`
	Created   time.Time        `json:"created"`
	MachineID string           `json:"machineID"` // 32 hexadecimal digits
	UIDBase   uint32           `json:"uidBase"`   // of the range kept for it, whether used or not
	Digest    container.Digest `json:"digest,omitempty"`
	// System is the NixOS system that the guest boots; empty for one of an image.
	System container.StorePath `json:"system,omitempty"`
	// Flake is the flake that System was built from, as Nix had locked it.
	Flake string `json:"flake,omitempty"`
	// Generation is the number of what it boots; 0 in a record of an older berth.
	Generation int            `json:"generation,omitempty"`
	Spec       container.Spec `json:"spec"`
	Links      []Link         `json:"links,omitempty"`
	// Root is where the guest's root lies, with the guest's own user numbers, if
	// that is not among what berth keeps itself. It is of one with a system.
	Root string `json:"root,omitempty"`
}

// Link is what was chosen for one of the guest's interfaces: on a network of
// berth's, or another one by its name in the guest.
type Link struct {
	Network   string       `json:"network,omitempty"`
	Interface string       `json:"interface,omitempty"`
	MAC       string       `json:"mac,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"` // on Network, at most one a family
}

// SpecFile is the file of the record in a container's directory.
const SpecFile = "spec.json"

// ReadRecord reads the record in the directory dir. The error for a container
// that is not there matches container.ErrNotFound.
func ReadRecord(dir string) (*Record, error) {
	var r Record
	err := ReadJSON(filepath.Join(dir, SpecFile), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, container.ErrNotFound
	}
	switch {
	case err == nil && r.Version != recordVersion:
		err = &VersionError{filepath.Join(dir, SpecFile), r.Version}
	case err != nil:
		err = cmp.Or(otherVersion(filepath.Join(dir, SpecFile)), err)
	}
	if err != nil {
		return nil, &container.Error{Err: err, Hint: "berth doctor says what to do"}
	}
	return &r, nil
}

// VersionError says that a record is of another berth's format.
type VersionError struct {
	File    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s is of version %d, this berth knows %d", e.File, e.Version, recordVersion)
}

// Newer reports whether the format is of a later berth.
func (e *VersionError) Newer() bool { return e.Version > recordVersion }

// otherVersion is a VersionError where a record is of another version, whatever
// else it has in it.
func otherVersion(file string) error {
	var head struct{ Version int }
	if err := ReadJSON(file, &head); err != nil || head.Version == recordVersion {
		return nil
	}
	return &VersionError{file, head.Version}
}

// WriteRecord replaces the record in the directory dir.
func WriteRecord(dir string, r Record) error {
	r.Version = recordVersion
	return WriteJSON(filepath.Join(dir, SpecFile), r)
}

// Exists reports whether there is a container n, whatever its record says.
func (p Paths) Exists(n container.Name) bool {
	_, err := os.Lstat(filepath.Join(p.Container(n), SpecFile))
	return err == nil
}

// Names are the names of all containers, sorted. Directories whose names
// start with a dot are being made or removed.
func (p Paths) Names() ([]container.Name, error) {
	entries, err := os.ReadDir(p.Containers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []container.Name
	for _, e := range entries {
		if n, err := container.ParseName(e.Name()); err == nil && e.IsDir() {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b container.Name) int { return cmp.Compare(a, b) })
	return out, nil
}

// Changes is where an overlay keeps what the guest changed, below a
// container's directory.
const Changes = "changes"

// Leftovers are the directories that an interrupted create or destroy left.
func (p Paths) Leftovers() ([]string, error) {
	entries, err := os.ReadDir(p.Containers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(p.Containers(), e.Name()))
		}
	}
	return out, nil
}
