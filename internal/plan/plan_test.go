package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

const (
	digestA = container.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	digestB = container.Digest("sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

func spec(changes ...func(*container.Spec)) container.Spec {
	s := container.DefaultSpec()
	s.Image = container.ImageRef{Kind: container.ImageTar, Arg: "/a.tar"}
	for _, c := range changes {
		c(&s)
	}
	return s
}

func autoStart(s *container.Spec)  { s.AutoStart = true }
func noRestart(s *container.Spec)  { s.RestartIfChanged = false }
func ephemeral(s *container.Spec)  { s.Ephemeral = true }
func limited(s *container.Spec)    { s.Limits.TasksMax = 9 }
func otherImage(s *container.Spec) { s.Image.Arg = "/b.tar" }

// short is a step in one line: action, effect, keys with their effects, what
// happens, why.
func short(s container.Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.Action, s.Effect)
	for _, c := range s.Changes {
		fmt.Fprintf(&b, " %s(%s)", c.Key, c.Effect)
	}
	if s.Start {
		b.WriteString(" start")
	}
	if s.Restart {
		b.WriteString(" restart")
	}
	if s.Switch {
		b.WriteString(" switch")
	}
	if s.Why != "" {
		b.WriteString(": " + s.Why)
	}
	return b.String()
}

// TestStepForStates has every change for a container in every state. The
// running guest, where there is one, has the stored spec.
func TestStepForStates(t *testing.T) {
	t.Parallel()
	const waits = ": restartIfChanged is false: it waits for the next start"
	const killed = ": its supervisor was killed"
	down := []container.State{container.Stopped, container.Failed}
	up := []container.State{container.Starting, container.Running, container.Stopping, container.Restarting, container.Paused}
	for _, c := range []struct {
		name                string
		wanted              container.Spec
		digest              container.Digest
		noStart             bool
		down, up, unwatched string
	}{
		{"nothing", spec(), digestA, false, "none none", "none none", "update restart restart" + killed},
		{"autoStart", spec(autoStart), digestA, false, "update none autoStart(live) start", "update live autoStart(live)", "update restart autoStart(live) restart" + killed},
		{"no start", spec(autoStart), digestA, true, "update none autoStart(live)", "update live autoStart(live)", "update restart autoStart(live) restart" + killed},
		{"live", spec(limited), digestA, false, "update none limits.tasksMax(live)", "update live limits.tasksMax(live)", "update restart limits.tasksMax(live) restart" + killed},
		{"restart", spec(ephemeral, limited), digestA, false, "update none ephemeral(restart) limits.tasksMax(live)",
			"update restart ephemeral(restart) limits.tasksMax(live) restart", "update restart ephemeral(restart) limits.tasksMax(live) restart" + killed},
		{"no restart", spec(ephemeral, noRestart), digestA, false, "update none ephemeral(restart) restartIfChanged(live)",
			"update restart ephemeral(restart) restartIfChanged(live)" + waits, "update restart ephemeral(restart) restartIfChanged(live) restart" + killed},
		{"other image", spec(otherImage), digestB, false, "update recreate image(recreate)", "update recreate image(recreate) restart", "update recreate image(recreate) restart" + killed},
		{"new content", spec(), digestB, false, "update recreate image(recreate)", "update recreate image(recreate) restart", "update recreate image(recreate) restart" + killed},
		{"unread content", spec(), "", false, "update recreate image(recreate)", "update recreate image(recreate) restart", "update recreate image(recreate) restart" + killed},
		{"everything", spec(autoStart, ephemeral, otherImage), digestB, false, "update recreate image(recreate) autoStart(live) ephemeral(restart) start",
			"update recreate image(recreate) autoStart(live) ephemeral(restart) restart", "update recreate image(recreate) autoStart(live) ephemeral(restart) restart" + killed},
	} {
		w := Wanted{Name: "web", Owner: container.OwnerCLI, Spec: c.wanted, Digest: c.digest, NoStart: c.noStart}
		check := func(s container.State, want string) {
			o := Observed{Name: "web", Owner: container.OwnerCLI, Spec: spec(), Digest: digestA, State: s}
			if s.Alive() {
				running := spec()
				o.Running, o.RunningDigest = &running, digestA
			}
			first := Step(w, &o)
			if got := short(first); got != want {
				t.Errorf("%s of a container that is %s:\ngot  %s\nwant %s", c.name, s, got, want)
			}
			for range 100 {
				if diff := cmp.Diff(first, Step(w, &o)); diff != "" {
					t.Fatalf("%s: two steps differ: %s", c.name, diff)
				}
			}
		}
		for _, s := range down {
			check(s, c.down)
		}
		for _, s := range up {
			check(s, c.up)
		}
		check(container.Unsupervised, c.unwatched)
	}
}

func TestStepForNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		w    Wanted
		want string
	}{
		{Wanted{Spec: spec()}, "create none"},
		{Wanted{Spec: spec(autoStart)}, "create none start"},
		{Wanted{Spec: spec(autoStart), NoStart: true}, "create none"},
	} {
		if got := short(Step(c.w, nil)); got != c.want {
			t.Errorf("got %s, not %s", got, c.want)
		}
	}
}

func TestStepStarts(t *testing.T) {
	t.Parallel()
	w := Wanted{Owner: container.OwnerCLI, Spec: spec(autoStart), Digest: digestA}
	o := Observed{Owner: container.OwnerCLI, Spec: w.Spec, Digest: digestA, State: container.Stopped}
	if got := short(Step(w, &o)); got != "start none start" {
		t.Errorf("stopped: %s", got)
	}
	o.Owner = container.OwnerFile("/a.yaml")
	if got := short(Step(w, &o)); got != "update none start" {
		t.Errorf("of another owner: %s", got)
	}
	o.State = container.Running
	if got := short(Step(w, &o)); got != "update none" {
		t.Errorf("running, of another owner: %s", got)
	}
}

// TestStepForRunning has a guest that runs with something else than what is
// stored.
func TestStepForRunning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                          string
		wanted, stored, running       container.Spec
		wantDigest, digest, runDigest container.Digest
		want                          string
	}{
		{"a change that waits", spec(ephemeral), spec(ephemeral), spec(), digestA, digestA, digestA, "update restart ephemeral(restart) restart"},
		{"a change that goes on waiting", spec(ephemeral, noRestart), spec(ephemeral, noRestart), spec(), digestA, digestA, digestA,
			"none none ephemeral(restart): restartIfChanged is false: it waits for the next start"},
		{"an image that goes on waiting", spec(noRestart), spec(noRestart), spec(), digestB, digestB, digestA,
			"none none image(recreate): restartIfChanged is false: stop it and apply again, for the new image and all else"},
		{"a change taken back", spec(), spec(ephemeral), spec(), digestA, digestA, digestA, "update live ephemeral(live)"},
		{"a change on top", spec(ephemeral, limited), spec(ephemeral), spec(), digestA, digestA, digestA,
			"update restart limits.tasksMax(live) ephemeral(restart) restart"},
		{"what was live is no news", spec(limited), spec(limited), spec(), digestA, digestA, digestA, "none none"},
		{"an image that waits", spec(), spec(), spec(), digestB, digestB, digestA, "update recreate image(recreate) restart"},
		{"an image twice", spec(), spec(), spec(), digestB, digestA, digestA, "update recreate image(recreate) restart"},
		{"an image taken back", spec(), spec(otherImage), spec(), digestA, digestB, digestA, "update recreate image(recreate) restart"},
	} {
		w := Wanted{Spec: c.wanted, Digest: c.wantDigest}
		o := Observed{Spec: c.stored, Digest: c.digest, State: container.Running, Running: &c.running, RunningDigest: c.runDigest}
		if got := short(Step(w, &o)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestStepIsEnough carries steps out on paper, and wants the next step to do
// nothing.
func TestStepIsEnough(t *testing.T) {
	t.Parallel()
	for name, change := range changed() {
		w := Wanted{Owner: container.OwnerCLI, Spec: spec(change), Digest: digestA}
		for _, state := range []container.State{container.Stopped, container.Running} {
			o := &Observed{Owner: container.OwnerCLI, Spec: spec(), Digest: digestA, State: state}
			if state.Alive() {
				running := spec()
				o.Running, o.RunningDigest = &running, digestA
			}
			s := Step(w, o)
			o.Spec = w.Spec
			if s.Start || s.Restart || s.Switch {
				o.State, o.Running, o.RunningDigest = container.Running, &w.Spec, w.Digest
			}
			if again := Step(w, o); again.Action != container.ActionNone || again.Disturbs() {
				t.Errorf("%s of a container that was %s: %s, and again %s", name, state, short(s), short(again))
			}
		}
	}
}

func TestImageChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		image  container.ImageRef
		before container.Digest
		after  container.Digest
		want   string
	}{
		{spec().Image, digestA, digestA, "[]"},
		{spec().Image, digestA, digestB, "[{image tar:/a.tar aaaaaaaaaaaa tar:/a.tar bbbbbbbbbbbb recreate}]"},
		{spec().Image, digestA, "", "[{image tar:/a.tar aaaaaaaaaaaa tar:/a.tar its new content recreate}]"},
		{spec(otherImage).Image, digestA, digestB, "[]"}, // Diff has it
		{container.ImageRef{}, "", digestB, "[]"},
	} {
		w := spec()
		if c.image.IsZero() {
			w.Image = c.image
		}
		s := spec()
		s.Image = c.image
		if got := fmt.Sprint(imageChange(s, c.before, Wanted{Spec: w, Digest: c.after})); got != c.want {
			t.Errorf("%v %s %s: %s", c.image, c.before, c.after, got)
		}
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	running := spec()
	for _, c := range []struct {
		o    Observed
		want string
	}{
		{Observed{Spec: spec(ephemeral)}, ""},
		{Observed{Spec: spec(ephemeral, limited), Running: &running}, "ephemeral(restart)"},
		{Observed{Spec: spec(limited), Running: &running}, ""},
		{Observed{Spec: spec(), Digest: digestB, Running: &running, RunningDigest: digestA}, "image(recreate)"},
		{Observed{Spec: spec(otherImage), Digest: digestB, Running: &running, RunningDigest: digestA}, "image(recreate)"},
		{Observed{Spec: spec(), Digest: digestA, Running: &running, RunningDigest: digestA}, ""},
	} {
		var parts []string
		for _, p := range Pending(c.o) {
			parts = append(parts, fmt.Sprintf("%s(%s)", p.Key, p.Effect))
		}
		if got := strings.Join(parts, " "); got != c.want {
			t.Errorf("got %s, not %s", got, c.want)
		}
	}
}
