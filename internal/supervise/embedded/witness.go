package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
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
	return complaints(b), nil
}

// stderrName is the file in a run's directory that the process writes errors
// to.
const stderrName = "stderr"

// complaints are the lines among the last 1,000 bytes that mean something.
func complaints(b []byte) []string {
	var out []string
	for line := range strings.Lines(string(b[max(0, len(b)-1000):])) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "berth: ")
		if line != "" && !strings.Contains(line, harmless) {
			out = append(out, line)
		}
	}
	return out
}

// GroupPath implements supervise.Grouper.
func (s *Supervisor) GroupPath(n container.Name) string {
	return "/" + filepath.Join(s.Paths.Instance(), string(n))
}
