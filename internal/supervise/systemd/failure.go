package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// failure is the file failure.json in a container's directory: how its last
// start ended, if that was not wanted.
type failure struct {
	State    container.State `json:"state"`
	Since    time.Time       `json:"since"`
	Reason   string          `json:"reason"`
	TimedOut bool            `json:"timedOut,omitempty"`
}

func (s *Supervisor) failureFile(n container.Name) string {
	return filepath.Join(s.Paths.Container(n), "failure.json")
}

// readFailure is what the last start left; nil where it went well.
func (s *Supervisor) readFailure(n container.Name) (*failure, error) {
	var f failure
	err := state.ReadJSON(s.failureFile(n), &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &f, err
}

func (s *Supervisor) forgetFailure(n container.Name) error {
	return state.RemoveFile(s.failureFile(n))
}

// Abandon implements supervise.Abandoner.
func (s *Supervisor) Abandon(ctx context.Context, n container.Name, why supervise.Observation) error {
	props, err := s.conn.GetAllPropertiesContext(ctx, s.unit(n))
	if err != nil {
		return err
	}
	f := failure{State: container.Failed, Since: time.Now(), Reason: why.Reason, TimedOut: text(props, "Result") == "timeout"}
	if words := lastWords(ctx, s.unit(n)); words != "" && !f.TimedOut {
		f.Reason = words
	}
	if err := s.Stop(ctx, n, 0); err != nil {
		return err
	}
	return state.WriteJSON(s.failureFile(n), f)
}

// lastWords are what the unit's processes last wrote, as one line: errors of
// berth and systemd-nspawn come last.
func lastWords(ctx context.Context, unit string) string {
	cmd := exec.CommandContext(ctx, "journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=3", "_SYSTEMD_UNIT="+unit)
	out, err := cmd.Output()
	if err != nil {
		return "" // a machine without a journal has none
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "berth: ")
}
