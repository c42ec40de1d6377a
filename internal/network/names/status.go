package names

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/state"
)

// Status is what the process says of itself, in a file.
type Status struct {
	PID int `json:"pid"`
	// Problems are for people: what of its work it cannot do now.
	Problems []string `json:"problems,omitempty"`
}

func statusFile(paths state.Paths) string { return filepath.Join(paths.Runtime(), "names.json") }

// lockFile is held by the process that serves. No container's name begins with
// a dot.
func lockFile(paths state.Paths) string { return filepath.Join(paths.Locks(), ".names") }

// Runs reports whether the process serves an instance, or is about to.
func Runs(paths state.Paths) bool { return serverOf(paths).Runs() }

// ReadStatus is what the process says of itself. Where none has, it is empty; it
// is what a former one said where Runs says that there is none.
func ReadStatus(paths state.Paths) (Status, error) {
	var s Status
	err := state.ReadJSON(statusFile(paths), &s)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return s, err
}

func writeStatus(paths state.Paths, problems []string) error {
	return state.WriteRuntimeJSON(statusFile(paths), Status{PID: os.Getpid(), Problems: problems})
}
