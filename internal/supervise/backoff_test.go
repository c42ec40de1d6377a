package supervise

import (
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 11: time.Minute, 1000: time.Minute,
	} {
		if got := Pause(failures); got != want {
			t.Errorf("after failure %d: %v, not %v", failures, got, want)
		}
	}
}
