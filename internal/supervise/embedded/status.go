package embedded

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// status is what a shim tells of its container, as a file. It says nothing by
// itself: it holds while the shim holds its lock, or the leader lives.
type status struct {
	State       container.State `json:"state"`
	Since       time.Time       `json:"since"`
	Shim        int             `json:"shim"`   // PID
	Leader      int             `json:"leader"` // PID, or 0
	LeaderStart uint64          `json:"leaderStart"`
	Restarts    int             `json:"restarts"`
	Reason      string          `json:"reason,omitempty"`
	Failure     string          `json:"failure,omitempty"` // after which it was restarted
}

func (s *Supervisor) statusFile(n container.Name) string {
	return filepath.Join(s.Paths.Run(n), "status.json")
}

func (s *Supervisor) shimLock(n container.Name) string {
	return filepath.Join(s.Paths.Locks(), string(n)+".shim")
}

// readStatus reads a status file; nil where there is none.
func readStatus(path string) (*status, error) {
	var st status
	err := state.ReadJSON(path, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &st, nil
}

// leaderAlive reports whether the process that was the guest's init still is.
func (st *status) leaderAlive() bool {
	if st == nil || st.Leader == 0 {
		return false
	}
	start, err := process.StartTime(st.Leader)
	return err == nil && start == st.LeaderStart
}
