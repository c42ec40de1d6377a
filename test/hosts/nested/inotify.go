package nested

import (
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/inotify"
)

// enoughInotify is for a host and a hundred guests. A host cannot raise the
// limit for its guests: its /proc/sys is read-only.
const enoughInotify = 1024

// raiseInotify raises the limit. berth counts the host's control group as that
// of one more guest, so that the limit stays as long as a host or a guest is
// there, and goes with the last of them.
func raiseInotify(h cgroup.Hierarchies) error { return inotify.Reserve(h, enoughInotify) }

func lowerInotify(h cgroup.Hierarchies) error { return inotify.Restore(h, 0) }
