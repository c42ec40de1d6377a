package names

import (
	"errors"
	"os"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/network/hosts"
	"github.com/berth-containers/berth/internal/state"
)

// Leftovers says, for people, what a process left that was killed as the last
// one, or "".
func Leftovers(paths state.Paths, h cgroup.Hierarchies) string {
	if Runs(paths) || Needed(paths) {
		return ""
	}
	file := hosts.File{Path: HostsFile(paths), Owner: paths.Instance()}
	if file.Has() {
		return "names of containers in " + file.Path
	}
	if _, err := os.Stat(statusFile(paths)); err == nil {
		return statusFile(paths)
	}
	if serverOf(paths).Group(h).Exists() {
		return "the cgroup of berth names"
	}
	return ""
}

// Sweep removes what Leftovers finds, unless there is work again.
func Sweep(paths state.Paths, h cgroup.Hierarchies) (bool, error) {
	lock, err := state.TryLock(lockFile(paths))
	if errors.Is(err, state.ErrLocked) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if Needed(paths) {
		return false, lock.Unlock()
	}
	file := hosts.File{Path: HostsFile(paths), Owner: paths.Instance()}
	return true, errors.Join(file.Set(nil), state.RemoveFile(statusFile(paths)), serverOf(paths).Group(h).Remove(), lock.Unlock())
}
