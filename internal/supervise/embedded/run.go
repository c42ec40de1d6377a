package embedded

import (
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
)

// Launch is the command `berth run --embedded NAME`, which a shim starts in
// the guest's cgroup: it becomes systemd-nspawn.
func (s *Supervisor) Launch(n container.Name, lost string) error {
	if err := s.guestGroup(n).Join(0); err != nil {
		return err
	}
	return launch.Run(s.Paths, n, lost)
}
