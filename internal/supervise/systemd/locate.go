package systemd

import (
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/supervise"
)

// Locate implements supervise.Locator. systemd-nspawn has a group for itself
// in that of the unit, whose slice the template says: to look there costs a
// tenth of asking systemd.
func (s *Supervisor) Locate(n container.Name) (o supervise.Observation, ok bool) {
	unit := s.usualGroup(n)
	procs, err := unit.Child("supervisor").Procs()
	if err != nil {
		return o, false
	}
	for _, pid := range procs {
		if leader, started := leaderOf(pid); leader != 0 {
			o = supervise.Observation{State: container.Running, Leader: leader, Started: started}
			if unit.Frozen() {
				o.State = container.Paused
			}
			return o, true
		}
	}
	return o, false
}
