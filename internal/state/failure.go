package state

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// Failure is how a container's last start failed. It is the file failure.json
// in the container's directory, which outlives the runtime directory, so that
// what went wrong can be asked for later.
type Failure struct {
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"`
	TimedOut bool      `json:"timedOut,omitempty"` // the guest was not ready in time
	Restarts int       `json:"restarts,omitempty"` // after failures, before this one
	Asked    bool      `json:"asked,omitempty"`    // for its end, which then was out of order: no failure but to systemd
}

func failureFile(dir string) string { return filepath.Join(dir, "failure.json") }

// ReadFailure reads the failure of the container with the directory dir; nil
// where its last start went well.
func ReadFailure(dir string) (*Failure, error) {
	var f Failure
	err := ReadJSON(failureFile(dir), &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return &f, nil
}

// WriteFailure keeps a failure.
func WriteFailure(dir string, f Failure) error { return WriteJSON(failureFile(dir), f) }

// RemoveFailure forgets one, if there is one.
func RemoveFailure(dir string) error { return RemoveFile(failureFile(dir)) }
