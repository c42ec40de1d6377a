package engine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

func TestRangesIn(t *testing.T) {
	t.Parallel()
	subuid := filepath.Join(t.TempDir(), "subuid")
	if err := os.WriteFile(subuid, []byte("a:100000:65536\nb:x:1\nc:5\nd:7:0\n\ne:300000:1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := rangesIn(subuid, 1, 2)
	if want := (idRanges{{100000, 165535}, {300000, 300999}}); !slices.Equal(got, want) {
		t.Errorf("ranges are %v, not %v", got, want)
	}
	for base, want := range map[uint32]bool{34463: false, 34465: true, 165535: true, 165536: false, 299000: true, 301000: false} {
		if got.overlaps(base) != want {
			t.Errorf("overlaps(%d) is %v", base, !want)
		}
	}
}

func TestAllocateIDsKeepsApart(t *testing.T) {
	t.Parallel()
	e := &Engine{Paths: state.Paths{Root: t.TempDir()}}
	var taken idRanges
	var placed []state.Record
	for _, n := range []container.Name{"a", "b", "c", "d"} {
		base, err := e.allocateIDs(n, placed)
		if err != nil {
			t.Fatal(err)
		}
		if taken.overlaps(base) || base < firstBase || base > lastBase || base%container.IDRange != 0 {
			t.Errorf("%s has the range from %d, which is taken or wrong", n, base)
		}
		again, err := e.allocateIDs(n, placed)
		if err != nil || again != base {
			t.Errorf("%s has the range from %d, and %d when asked again (%v)", n, base, again, err)
		}
		placed = append(placed, state.Record{Name: n, UIDBase: base})
		taken = append(taken, [2]uint64{uint64(base), uint64(base) + container.IDRange - 1})
	}
	// What b would get is b's already: another container of its name gets another.
	if base, err := e.allocateIDs("b", placed); err != nil || taken.overlaps(base) {
		t.Errorf("the range from %d is given twice (%v)", base, err)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	all := []container.Name{"db", "web", "web2"}
	for _, c := range []struct {
		patterns []string
		want     []container.Name
	}{
		{[]string{"web"}, []container.Name{"web"}},
		{[]string{"web*"}, []container.Name{"web", "web2"}},
		{[]string{"*", "db"}, []container.Name{"db", "web", "web2"}},
		{[]string{"x*"}, nil},
	} {
		if got, err := match(all, c.patterns); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v is %v (%v), not %v", c.patterns, got, err, c.want)
		}
	}
	if _, err := match(all, []string{"nope"}); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("a name that is not there gives %v", err)
	}
	if _, err := match(all, []string{"[a"}); container.CodeOf(err) != container.CodeUsage {
		t.Errorf("a bad pattern gives %v", err)
	}
}

func TestHasLabels(t *testing.T) {
	t.Parallel()
	have := container.Labels{"tier": "front", "empty": ""}
	for want, ok := range map[string]bool{"tier": true, "tier=front": true, "tier=back": false, "empty=": true, "empty": true, "x": false} {
		if hasLabels(have, []string{want}) != ok {
			t.Errorf("label %q matches: %v", want, !ok)
		}
	}
	if hasLabels(have, []string{"tier", "x"}) {
		t.Error("one of two labels is enough")
	}
}

func TestAgreedTo(t *testing.T) {
	t.Parallel()
	step := func(a container.Action, restart bool) container.Step {
		return container.Step{Name: "web", Action: a, Restart: restart}
	}
	for name, c := range map[string]struct {
		agreed, now container.Step
		ok          bool
	}{
		"the same":                   {step(container.ActionUpdate, true), step(container.ActionUpdate, true), true},
		"less":                       {step(container.ActionUpdate, true), step(container.ActionNone, false), true},
		"a restart more":             {step(container.ActionUpdate, false), step(container.ActionUpdate, true), false},
		"made by another":            {step(container.ActionCreate, false), step(container.ActionUpdate, false), false},
		"made by another, the same":  {step(container.ActionCreate, false), step(container.ActionNone, false), true},
		"removed by another, no new": {step(container.ActionUpdate, false), step(container.ActionCreate, false), true},
	} {
		if err := agreedTo(container.Plan{Steps: []container.Step{c.agreed}}, c.now); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNameOf(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]container.Name{".new-web-123": "web", ".trash-a-b_c-9": "a-b_c", ".new-web": "web", ".x": ""} {
		if got := nameOf(dir); got != want {
			t.Errorf("%s is of %q, not %q", dir, got, want)
		}
	}
}
