package systemd

import (
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
)

// GroupPath implements supervise.Grouper: where the template puts a unit.
func (s *Supervisor) GroupPath(n container.Name) string { return "/machine.slice/" + s.unit(n) }

func (s *Supervisor) usualGroup(n container.Name) cgroup.Group {
	return s.Cgroups.Group(strings.TrimPrefix(s.GroupPath(n), "/"))
}
