package supervise

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Kept are the containers among the names found by a supervisor, and those that
// have a runtime directory; see Keeper.
func Kept(paths state.Paths, found []string) ([]container.Name, error) {
	entries, err := os.ReadDir(paths.Runs())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	slices.Sort(found)
	var names []container.Name
	for _, f := range slices.Compact(found) {
		if n, err := container.ParseName(f); err == nil {
			names = append(names, n)
		}
	}
	return names, nil
}
