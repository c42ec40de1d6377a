package container

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestEffects holds their order and names, which --json shows.
func TestEffects(t *testing.T) {
	t.Parallel()
	effects := []Effect{EffectNone, EffectLive, EffectSwitch, EffectRestart, EffectRecreate}
	if !slices.IsSorted(effects) || len(effects) != len(effectNames) {
		t.Error("effects are not in order")
	}
	b, err := json.Marshal(effects)
	if want := `["none","live","switch","restart","recreate"]`; err != nil || string(b) != want {
		t.Errorf("%s, not %s: %v", b, want, err)
	}
}

func TestStepJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		step Step
		want string
	}{
		{Step{Name: "web", Action: ActionNone}, `{"name":"web","action":"none","effect":"none"}`},
		{Step{Name: "web", Action: ActionUpdate, Effect: EffectRestart, Restart: true, Why: "w", Changes: []Change{{Key: "k", Old: "", New: "n", Effect: EffectLive}}},
			`{"name":"web","action":"update","effect":"restart","changes":[{"key":"k","old":"","new":"n","effect":"live"}],"restart":true,"why":"w"}`},
		{Step{Name: "web", Action: ActionCreate, Start: true}, `{"name":"web","action":"create","effect":"none","start":true}`},
	} {
		if b, err := json.Marshal(c.step); err != nil || string(b) != c.want {
			t.Errorf("%s, not %s: %v", b, c.want, err)
		}
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		steps           []Step
		empty, disturbs bool
	}{
		{nil, true, false},
		{[]Step{{Action: ActionNone}, {Action: ActionNone}}, true, false},
		{[]Step{{Action: ActionNone}, {Action: ActionStart, Start: true}}, false, false},
		{[]Step{{Action: ActionCreate}}, false, false},
		{[]Step{{Action: ActionUpdate, Effect: EffectLive}}, false, false},
		{[]Step{{Action: ActionUpdate, Effect: EffectRestart}}, false, false}, // it waits
		{[]Step{{Action: ActionUpdate, Effect: EffectRestart, Restart: true}}, false, true},
		{[]Step{{Action: ActionUpdate, Effect: EffectRecreate}}, false, true},
		{[]Step{{Action: ActionCreate}, {Action: ActionDestroy}}, false, true},
	} {
		p := Plan{Steps: c.steps}
		if p.Empty() != c.empty || p.Disturbs() != c.disturbs {
			t.Errorf("%+v: empty %v, disturbs %v", c.steps, p.Empty(), p.Disturbs())
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	for s, want := range map[State]bool{Stopped: false, Failed: false, Starting: true, Running: true, Stopping: true, Restarting: true, Paused: true, Unsupervised: true} {
		if s.Alive() != want {
			t.Errorf("%s alive: %v", s, s.Alive())
		}
	}
}

func TestEventsToNobody(t *testing.T) {
	t.Parallel()
	EventFunc(nil).Send(Event{Phase: "x"})
	var got Event
	EventFunc(func(e Event) { got = e }).Send(Event{Phase: "x"})
	if got.Phase != "x" {
		t.Errorf("got %+v", got)
	}
}
