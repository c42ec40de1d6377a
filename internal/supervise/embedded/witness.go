package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nspawn"
)

// Said implements supervise.Witness. What made a run fail is in its reason
// too, and stays when the run's directory is gone.
func (s *Supervisor) Said(n container.Name) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(s.Paths.Run(n), stderrName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return nspawn.Complaints(b), nil
}

// stderrName is the file in a run's directory that the process writes errors
// to.
const stderrName = "stderr"

// GroupPath implements supervise.Grouper.
func (s *Supervisor) GroupPath(n container.Name) string {
	return "/" + filepath.Join(s.Paths.Instance(), string(n))
}
