package plan

import (
	"testing"

	"github.com/berth-containers/berth/container"
)

// TestStepForSystems has references to systems, and what they stand for: in
// what is stored, what runs, and what is wanted.
func TestStepForSystems(t *testing.T) {
	t.Parallel()
	const a, b = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a", "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-b"
	of := func(ref string) container.Spec {
		s := container.DefaultSpec()
		s.System = ref
		return s
	}
	for _, c := range []struct {
		stored, running, wanted string // references
		has, runs, wants        container.StorePath
		want                    string
		pending                 int
	}{
		{"r", "r", "r", a, a, a, "none none", 0},
		{"r", "r", "r", a, a, b, "update switch system(switch) switch", 0},
		{"r", "r", a, a, a, a, "update live system(live)", 0},
		{"r", "r", b, a, a, b, "update switch system(switch) switch", 0},
		{"r", "r", "r", b, a, b, "update switch system(switch) switch", 1},
		{"r", "r", "r", b, a, a, "update live system(live)", 1},
		{"r", a, "r", a, a, a, "none none", 0},
	} {
		running := of(c.running)
		o := Observed{Spec: of(c.stored), System: c.has, State: container.Running, Running: &running, RunningSystem: c.runs}
		if got := short(Step(Wanted{Spec: of(c.wanted), System: c.wants}, &o)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		if got := Pending(o); len(got) != c.pending {
			t.Errorf("%+v: pending %v", c, got)
		}
	}
	running := spec()
	o := Observed{Spec: spec(), Digest: digestA, State: container.Running, Running: &running, RunningDigest: digestA}
	if got := short(Step(Wanted{Spec: of(a), System: a}, &o)); got != "update recreate image(recreate) system(switch) restart" {
		t.Errorf("from an image to a system: %s", got)
	}
}
