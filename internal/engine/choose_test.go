package engine

import (
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
)

// TestChooseSupervisor: who says nothing gets the supervisor that fits PID 1.
// That systemd's cannot be reached here is how its choice shows.
func TestChooseSupervisor(t *testing.T) {
	t.Parallel()
	with := host.Probe{Readlink: func(string) (string, error) { return "", unix.EINVAL }}
	without := host.Probe{Readlink: func(string) (string, error) { return "", fs.ErrNotExist }}
	for _, c := range []struct {
		choice   string
		probe    host.Probe
		embedded bool
		code     container.Code
	}{
		{"", without, true, 0}, {"embedded", without, true, 0}, {"embedded", with, true, 0},
		{"", with, false, 0}, {"systemd", without, false, 0}, {"openrc", with, false, container.CodeUsage},
	} {
		s, err := chooseSupervisor(c.choice, c.probe, state.Paths{Root: t.TempDir()}, cgroup.Hierarchies{})
		if _, ok := s.(*embedded.Supervisor); ok != c.embedded {
			t.Errorf("%q: %T, %v", c.choice, s, err)
		}
		if c.code != 0 && container.CodeOf(err) != c.code {
			t.Errorf("%q: %v", c.choice, err)
		}
	}
}
