package nested

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
)

// inotifyLimit bounds the inotify instances of all guests together. A host
// cannot raise it for its guests: its /proc/sys is read-only.
const inotifyLimit = "/proc/sys/fs/inotify/max_user_instances"

// enoughInotify is for a host and a hundred guests.
const enoughInotify = 1024

// raiseInotify raises the limit where it is lower, and returns what lowers it.
// Where a berth of this machine has raised it, it stays as long as the host is
// there: berth counts the host's control group as one more guest.
func raiseInotify(h cgroup.Hierarchies) (release func() error, err error) {
	limit, err := readInotify()
	if err != nil {
		return nil, err
	}
	if limit >= enoughInotify {
		return embedded.New(state.Paths{}, h).RestoreSettings, nil
	}
	lower := func() error {
		if now, err := readInotify(); err != nil || now != enoughInotify {
			return err // somebody else's
		}
		return writeInotify(limit)
	}
	return lower, writeInotify(enoughInotify)
}

func readInotify() (int, error) {
	b, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", inotifyLimit, err)
	}
	return n, nil
}

func writeInotify(n int) error { return os.WriteFile(inotifyLimit, []byte(strconv.Itoa(n)), 0) }
