package systemd

import (
	"errors"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
)

func TestLaunchErrors(t *testing.T) {
	err := Launch(t.Context(), state.Paths{Root: t.TempDir()}, cgroup.Hierarchies{}, "web")
	if !errors.Is(err, container.ErrNotFound) {
		t.Errorf("a container that there is not: %v", err)
	}
}
