package state

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/berth-containers/berth/container"
)

// given is the file given.json beside a guest's own store: the systems that the
// host has given to it, the last one last, of which it may still need something.
// Where it removes none of its store paths that is all that it was ever given.
type given struct {
	Systems []container.StorePath `json:"systems"`
}

const givenFile = "given.json"

// ReadGiven are the systems that the guest with its own store in dir was given.
func ReadGiven(dir string) ([]container.StorePath, error) {
	var g given
	err := ReadJSON(filepath.Join(dir, givenFile), &g)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return g.Systems, err
}

// WriteGiven replaces them.
func WriteGiven(dir string, systems []container.StorePath) error {
	return WriteJSON(filepath.Join(dir, givenFile), given{systems})
}
