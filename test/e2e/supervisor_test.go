//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
	keepers "github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/supervise/embedded"
	"github.com/berth-containers/berth/internal/supervise/supervisetest"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// underSystemd tells which supervisor the tests use, in the way of berth.
func underSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return either("BERTH_SUPERVISOR", map[bool]string{true: "systemd"}[err == nil]) == "systemd"
}

// newSupervisor is that supervisor, for the containers of a root.
func newSupervisor(b *berth) keepers.Supervisor {
	h, err := cgroup.Mounted()
	must(b, err)
	if underSystemd() {
		s, err := systemd.New(context.Background(), state.Paths{Root: b.root}, h)
		must(b, err)
		s.Program = os.Getenv(binaryVariable)
		return s
	}
	s := embedded.New(state.Paths{Root: b.root}, h)
	s.Program = os.Getenv(binaryVariable)
	return s
}

// TestSupervisor holds the supervisor to what supervise.Supervisor promises,
// with the tiny guest.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	supervisetest.Run(t, func(t *testing.T) supervisetest.Subject {
		b := newBerth(t)
		s := newSupervisor(b)
		count := 0
		return supervisetest.Subject{
			Supervisor: s,
			Add: func(g supervisetest.Guest) container.Name {
				count++
				name := fmt.Sprintf("k%d", count)
				b.run(append([]string{"create", name, "--image", tiny()}, behaviour(g)...)...)
				return container.Name(name)
			},
			Change: func(n container.Name, g supervisetest.Guest) {
				b.run(append([]string{"set", string(n)}, behaviour(g)...)...)
			},
		}
	})
}

// behaviour are the keys that make a tiny guest behave like g.
func behaviour(g supervisetest.Guest) []string {
	mode := ""
	switch {
	case g.Never:
		mode = "never"
	case g.Deaf:
		mode = "deaf"
	case g.Die:
		mode = "die"
	}
	limit := "1min"
	if g.Timeout > 0 {
		limit = fmt.Sprintf("%dms", g.Timeout.Milliseconds())
	}
	return []string{"environment.TINY=" + mode, "timeoutStartSec=" + limit}
}
