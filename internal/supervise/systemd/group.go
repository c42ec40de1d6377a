package systemd

import (
	"context"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
)

// GroupPath implements supervise.Grouper: where the template puts a unit.
func (s *Supervisor) GroupPath(n container.Name) string { return "/machine.slice/" + s.unit(n) }

func (s *Supervisor) usualGroup(n container.Name) cgroup.Group {
	return s.Cgroups.Group(strings.TrimPrefix(s.GroupPath(n), "/"))
}

// vacating is how long systemd may take to remove the control group of a unit
// that has ended.
const vacating = 2 * time.Second

// vacate waits until systemd has removed the control group of a unit that does
// not run. It does so when the kernel has told it that the last process is gone,
// which can be after the unit has ended. Who is started meanwhile may be killed:
// systemd kills units by cgroup.kill, and kernels from 6.14 to 6.18 at least go on to
// kill what a process elsewhere starts in such a group (CLONE_INTO_CGROUP). A
// systemd that does the one and the other wants cgroup v2 alone.
func (s *Supervisor) vacate(ctx context.Context, n container.Name) error {
	if s.Cgroups.Mode() != "unified" {
		return nil
	}
	group := s.usualGroup(n)
	for end := time.Now().Add(vacating); group.Exists() && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond): // the kernel tells nobody of a group that is gone
		}
	}
	return nil
}
