package embedded

import (
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
)

// Launch is the command `berth run --embedded NAME`, which a shim starts: it
// moves into the guest's cgroup and becomes systemd-nspawn. lostLimits says,
// for people, which limits the shim could not set.
func (s *Supervisor) Launch(n container.Name, lostLimits string) error {
	if err := s.guestGroup(n).Join(0); err != nil {
		return err
	}
	return launch.Run(s.Paths, n, launch.Options{LostLimits: lostLimits})
}
