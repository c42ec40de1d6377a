package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/berth-containers/berth/container"
)

// Generation is what is kept of one version of what a container boots. It is
// the file generation.json in a directory below the container's, which may
// have the directory Changes too.
type Generation struct {
	Number  int                 `json:"number"` // from 1
	Created time.Time           `json:"created"`
	Digest  container.Digest    `json:"digest,omitempty"`
	System  container.StorePath `json:"system,omitempty"`
	// Spec is what it ran under last; that of the current one is in its record.
	Spec container.Spec `json:"spec"`
	// Failed is why an update to it was undone.
	Failed string `json:"failed,omitempty"`
}

// GenerationDir is the directory of a generation, below that of a container.
func GenerationDir(dir string, number int) string {
	return filepath.Join(dir, "generations", strconv.Itoa(number))
}

const generationFile = "generation.json"

// ReadGeneration reads one. The error for one that is not there matches
// fs.ErrNotExist.
func ReadGeneration(dir string, number int) (Generation, error) {
	var g Generation
	err := ReadJSON(filepath.Join(GenerationDir(dir, number), generationFile), &g)
	g.Number = number
	return g, err
}

// WriteGeneration keeps one.
func WriteGeneration(dir string, g Generation) error {
	at := GenerationDir(dir, g.Number)
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	if err := WriteJSON(filepath.Join(at, generationFile), g); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(at))
}

// Generations are all of the container with the directory dir, by number. One
// that was being made or removed when berth was killed is none.
func Generations(dir string) ([]Generation, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "generations"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []Generation
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil || number < 1 {
			continue
		}
		g, err := ReadGeneration(dir, number)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Generation) int { return a.Number - b.Number })
	return out, nil
}

// RemoveGeneration removes one with all that is kept with it.
func RemoveGeneration(dir string, number int) error {
	at := GenerationDir(dir, number)
	if err := RemoveFile(filepath.Join(at, generationFile)); err != nil { // it is none from here on
		return err
	}
	return RemoveTree(at)
}
