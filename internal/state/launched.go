package state

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
)

// Launched is what a running guest was started with: its record as it was
// then, but for a system that it has changed to in place. It is the file launched.json in the runtime directory.
type Launched struct {
	Record
	// Lost names, for people, what the guest goes without on this host.
	Lost []string `json:"lost,omitempty"`
	// LostLimits is the same of its limits, which change while it runs.
	LostLimits string `json:"lostLimits,omitempty"`
	// Shown are the systems, beside that of the record, of which the guest sees
	// all in its store: those that it has had since it was started.
	Shown []container.StorePath `json:"shown,omitempty"`
	// Init is what the guest runs as PID 1.
	Init boot.Init `json:"init,omitzero"`
	// Updates says that it was started to install an update and reboot, which
	// takes as long as it takes.
	Updates bool `json:"updates,omitempty"`
	// Learns is the key of the question whose answer its first process shows; see
	// internal/sieve.
	Learns string `json:"learns,omitempty"`
}

// AllLost is all that the guest goes without.
func (l *Launched) AllLost() []string {
	if l.LostLimits == "" {
		return l.Lost
	}
	return slices.Concat([]string{l.LostLimits}, l.Lost)
}

const launchedFile = "launched.json"

// ReadLaunched reads what the guest with the runtime directory run was
// started with. The error where nothing was matches fs.ErrNotExist.
func ReadLaunched(run string) (*Launched, error) {
	var l Launched
	if err := ReadJSON(filepath.Join(run, launchedFile), &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// SetLostLimits says which limits a running guest goes without now. That the
// guest has ended is no error.
func SetLostLimits(run, lost string) error {
	l, err := ReadLaunched(run)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil || l.LostLimits == lost:
		return err
	}
	l.LostLimits = lost
	return WriteLaunched(run, *l)
}

// WriteLaunched says what the guest is started with.
func WriteLaunched(run string, l Launched) error {
	l.Version = recordVersion
	return WriteRuntimeJSON(filepath.Join(run, launchedFile), l)
}
