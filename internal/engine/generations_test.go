package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// systemNumber is some system.
func systemNumber(i int) container.StorePath {
	return container.StorePath(fmt.Sprintf("/nix/store/%032d-nixos-system-%d", i, i))
}

// TestSucceed gives records their numbers.
func TestSucceed(t *testing.T) {
	t.Parallel()
	e := &Engine{Paths: state.Paths{Root: t.TempDir()}}
	rec := state.Record{Name: "web", System: systemNumber(1), Spec: container.DefaultSpec()} // of an older berth
	for _, c := range []struct {
		system, wanted int
		failed         bool // it is undone
		number         int
		want           string // systems by number
	}{
		{system: 1, number: 1, want: "1:1"},
		{system: 2, number: 2, want: "1:1 2:2"},
		{system: 3, failed: true, number: 3, want: "1:1 2:2 3:3!"},
		{system: 3, failed: true, number: 3, want: "1:1 2:2 3:3!"}, // again
		{system: 4, failed: true, number: 4, want: "1:1 2:2 3:3! 4:4!"},
		{system: 1, wanted: 1, number: 1, want: "1:1 2:2 3:3! 4:4!"},
		{system: 4, number: 4, want: "1:1 2:2 3:3! 4:4"},
		{system: 1, number: 5, want: "1:1 2:2 3:3! 4:4 5:1"},
	} {
		next := rec
		next.System = systemNumber(c.system)
		next.Spec.Labels = container.Labels{"for": fmt.Sprint(c.number)}
		check(t, e.succeed(&rec, &next, c.wanted))
		if next.Generation != c.number {
			t.Errorf("%+v: it is %d", c, next.Generation)
		}
		if c.failed {
			check(t, e.judged(&next, "no"))
		} else {
			check(t, e.judged(&next, ""))
			rec = next
		}
		if got := numbered(t, e); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	next := rec
	next.System = systemNumber(6)
	check(t, e.succeed(&rec, &next, 0))
	if g, err := state.ReadGeneration(e.Paths.Container("web"), 5); err != nil || g.Spec.Labels["for"] != "5" {
		t.Errorf("it ran under %v, %v", g.Spec.Labels, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// numbered are the generations of web in short.
func numbered(t *testing.T, e *Engine) string {
	t.Helper()
	all, err := state.Generations(e.Paths.Container("web"))
	check(t, err)
	var out []string
	for _, g := range all {
		word := fmt.Sprintf("%d:%s", g.Number, strings.TrimPrefix(string(g.System[len(g.System)-2:]), "-"))
		if g.Failed != "" {
			word += "!"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// TestPrune gives up what is more than is to be kept, and nothing else.
func TestPrune(t *testing.T) {
	t.Parallel()
	e := &Engine{Paths: state.Paths{Root: t.TempDir()}}
	e.closures.Paths = e.Paths
	rec := state.Record{Name: "web", System: systemNumber(2), Generation: 2, Spec: container.DefaultSpec()}
	dir := e.Paths.Container("web")
	for i := range 9 {
		r := rec
		r.System = systemNumber(i + 1)
		check(t, state.WriteGeneration(dir, newGeneration(&r, i+1)))
	}
	check(t, os.Mkdir(e.setAsideDir("web", 3), 0o700))
	check(t, os.MkdirAll(e.Paths.Run("web"), 0o700))
	check(t, state.WriteLaunched(e.Paths.Run("web"), state.Launched{Record: state.Record{Name: "web", Generation: 4}}))
	check(t, e.Paths.WriteTransition(state.Transition{Before: state.Record{Name: "web", Generation: 4}, After: state.Record{Name: "web", Generation: 5}}))
	rec.Spec.KeepGenerations = 2
	check(t, e.prune(&rec))
	if got, want := numbered(t, e), "2:2 3:3 4:4 5:5 8:8 9:9"; got != want {
		t.Errorf("there are %s, not %s", got, want)
	}
	used, err := e.systemsOf(&rec)
	check(t, err)
	if len(used) == 0 || used[0] != systemNumber(2) {
		t.Errorf("%v", used)
	}
}
