package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Transition is the way of a running guest from one generation to another,
// while a command is at it. Its file is there from before anything happens
// until all has, so that the next command finds out about one that was killed.
// It does not outlive the machine, and neither does the guest.
type Transition struct {
	Before Record `json:"before"`
	After  Record `json:"after"`
	// Restart says that the guest is stopped and started. Otherwise it changes
	// its system in place.
	Restart bool `json:"restart,omitempty"`
	// Leader and Started tell the guest that changes in place; see
	// supervise.Observation.
	Leader  int    `json:"leader,omitempty"`
	Started uint64 `json:"started,omitempty"`
	// Unit is that of the guest's systemd which changes the system.
	Unit string `json:"unit,omitempty"`
	// Begun says that the unit may have been started.
	Begun bool `json:"begun,omitempty"`
	// Failed are units of the guest that had failed before.
	Failed []string `json:"failed,omitempty"`
	// Back is why the guest is on its way back to Before; empty: it is not.
	Back string `json:"back,omitempty"`
}

// Transitions holds the files of Transition.
func (p Paths) Transitions() string { return filepath.Join(p.Runtime(), "transitions") }

// Transition is the file of one container there.
func (p Paths) Transition(n container.Name) string {
	return filepath.Join(p.Transitions(), string(n)+".json")
}

// InTransition are the containers that have one.
func (p Paths) InTransition() []container.Name {
	entries, _ := os.ReadDir(p.Transitions())
	var out []container.Name
	for _, f := range entries {
		if n, err := container.ParseName(strings.TrimSuffix(f.Name(), ".json")); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// ReadTransition reads that of a container; nil where it has none.
func (p Paths) ReadTransition(n container.Name) (*Transition, error) {
	var t Transition
	err := ReadJSON(p.Transition(n), &t)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return &t, nil
}

// WriteTransition replaces it.
func (p Paths) WriteTransition(t Transition) error {
	if err := os.MkdirAll(p.Transitions(), 0o700); err != nil {
		return err
	}
	return WriteRuntimeJSON(p.Transition(t.Before.Name), t)
}
