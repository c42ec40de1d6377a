package supervise

import "time"

// The pauses between restarts after failures double from the first to the
// last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
)

// Stable is for how long a guest has to run so that its failure is the first
// one of a row.
const Stable = time.Minute

// Pause is the time to wait before a guest is started again that has failed so
// often in a row.
func Pause(failures int) time.Duration {
	p := firstPause
	for range failures - 1 {
		p = min(2*p, lastPause)
	}
	return p
}
