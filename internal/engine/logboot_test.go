package engine

import (
	"testing"

	"github.com/berth-containers/berth/internal/journal"
)

func TestIndexOfBoot(t *testing.T) {
	t.Parallel()
	boots := []journal.Boot{{ID: "0123456789abcdef0123456789abcdef"}, {ID: "1"}, {ID: "c"}}
	for which, want := range map[string]int{
		"0": 2, "-1": 1, "-2": 0, "0123456789abcdef0123456789abcdef": 0, "c": 2, "-3": -1, "7": -1, "d": -1, "--1": -1,
	} {
		got, err := indexOfBoot(boots, which)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%s is %d, %v, not %d", which, got, err, want)
		}
	}
}
