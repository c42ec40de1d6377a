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
	running := of(a)
	o := Observed{Spec: of(a), System: a, State: container.Running, Running: &running, RunningSystem: a}
	for want, change := range map[string]func(*Wanted, *Observed){
		"update switch system(switch) switch":                                                                         func(*Wanted, *Observed) {},
		"update switch system(switch): it waits for the next start":                                                   func(w *Wanted, _ *Observed) { w.Boot = true },
		"update restart system(switch) restart: it cannot":                                                            func(w *Wanted, _ *Observed) { w.NoSwitch = "it cannot" },
		"update restart system(switch) restart":                                                                       func(_ *Wanted, o *Observed) { o.State = container.Paused },
		"update restart ephemeral(restart) system(switch) restart":                                                    func(w *Wanted, _ *Observed) { w.Spec.Ephemeral = true },
		"update none system(switch)":                                                                                  func(_ *Wanted, o *Observed) { o.State, o.Running, o.RunningSystem = container.Stopped, nil, "" },
		"update switch restartIfChanged(live) system(switch): restartIfChanged is false: it waits for the next start": func(w *Wanted, _ *Observed) { w.Spec.RestartIfChanged = false },
	} {
		w, o := Wanted{Spec: of(a), System: b}, o
		change(&w, &o)
		if got := short(Step(w, &o)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	w := Wanted{Spec: spec(), Digest: digestB, Boot: true}
	running = spec()
	o = Observed{Spec: spec(), Digest: digestA, State: container.Running, Running: &running, RunningDigest: digestA}
	if got := short(Step(w, &o)); got != "none none image(recreate): stop it and apply again, for the new image and all else" {
		t.Errorf("an image at the next start: %s", got)
	}
	o = Observed{Spec: spec(), Digest: digestA, State: container.Running, Running: &running, RunningDigest: digestA}
	if got := short(Step(Wanted{Spec: of(a), System: a}, &o)); got != "update recreate image(recreate) system(switch) restart" {
		t.Errorf("from an image to a system: %s", got)
	}
}
