package systemd

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// tally is what is counted from a start by its owner to the end, over all the
// runs of a guest in between. It is the file tally.json in the runtime
// directory: systemd counts reboots as restarts, and knows no growing pauses.
type tally struct {
	Ready    bool   `json:"ready,omitempty"`    // the guest was, once
	Restarts int    `json:"restarts,omitempty"` // after failures
	InARow   int    `json:"inARow,omitempty"`   // of these, since the guest last ran for long
	Waiting  bool   `json:"waiting,omitempty"`  // for the next run, after a failure
	Reason   string `json:"reason,omitempty"`   // of that failure
	Retries  int    `json:"retries,omitempty"`  // after failures that were not the guest's
}

func (s *Supervisor) tallyFile(n container.Name) string { return tallyFile(s.Paths, n) }

func tallyFile(p state.Paths, n container.Name) string {
	return filepath.Join(p.Run(n), "tally.json")
}

// readTally is zero where nothing was counted yet.
func readTally(path string) (tally, error) {
	var t tally
	err := state.ReadJSON(path, &t)
	if errors.Is(err, fs.ErrNotExist) {
		return tally{}, nil
	}
	return t, err
}

// failed counts a failure of a guest that had run for so long.
func (t *tally) failed(reason string, ran time.Duration) {
	if ran > supervise.Stable {
		t.InARow = 0
	}
	t.Restarts++
	t.InARow++
	t.Waiting, t.Reason = true, reason
}

// pause is the time to wait before the next run.
func (t *tally) pause() time.Duration {
	if !t.Waiting {
		return 0
	}
	return supervise.Pause(t.InARow)
}
