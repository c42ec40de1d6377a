package systemd

import "github.com/berth-containers/berth/container"

// GroupPath implements supervise.Grouper.
func (s *Supervisor) GroupPath(n container.Name) string { return "/machine.slice/" + s.unit(n) }
