package plan

import (
	"cmp"
	"slices"

	"github.com/berth-containers/berth/container"
)

// Wanted is what an owner wants of one container.
type Wanted struct {
	Name  container.Name
	Owner container.Owner
	Spec  container.Spec
	// Digest is the image that Spec.Image stands for now; empty where it is
	// not known before the image has been read (again).
	Digest container.Digest
	// NoStart leaves a container stopped that is not alive.
	NoStart bool
}

// Observed is what is there of one container.
type Observed struct {
	Name   container.Name
	Owner  container.Owner
	Spec   container.Spec
	Digest container.Digest
	State  container.State
	// Running and RunningDigest are what the living guest was started with;
	// nil where none lives.
	Running       *container.Spec
	RunningDigest container.Digest
}

// Step says what has to happen to one container so that it is as w wants it. o
// is nil where there is no such container.
func Step(w Wanted, o *Observed) container.Step {
	if o == nil {
		return container.Step{Name: w.Name, Action: container.ActionCreate, Start: w.Spec.AutoStart && !w.NoStart}
	}
	s := container.Step{Name: w.Name, Action: container.ActionNone}
	alive := o.State.Alive()
	s.Changes = changes(w, *o)
	if len(s.Changes) > 0 || o.Owner != w.Owner {
		s.Action = container.ActionUpdate
	}
	s.Effect = effect(s.Changes, alive)
	switch {
	case alive && w.Spec.RestartIfChanged && s.Effect >= container.EffectRestart:
		s.Restart = true
	case alive && s.Effect >= container.EffectRestart:
		s.Why = "restartIfChanged is false: it waits for the next start"
	case o.State == container.Unsupervised:
		s.Action, s.Restart, s.Why = cmp.Or(noNone(s.Action), container.ActionUpdate), true, "its supervisor was killed"
		s.Effect = max(s.Effect, container.EffectRestart)
	case !alive && w.Spec.AutoStart && !w.NoStart:
		s.Start = true
		s.Action = cmp.Or(noNone(s.Action), container.ActionStart)
	}
	return s
}

func noNone(a container.Action) container.Action {
	if a == container.ActionNone {
		return ""
	}
	return a
}

// changes are those against the stored spec, and behind them those that the
// running guest has not got yet.
func changes(w Wanted, o Observed) []container.Change {
	out := append(Diff(o.Spec, w.Spec), imageChange(o.Spec, o.Digest, w)...)
	if o.Running == nil {
		return out
	}
	pending := append(Diff(*o.Running, w.Spec), imageChange(*o.Running, o.RunningDigest, w)...)
	for _, c := range pending {
		known := slices.ContainsFunc(out, func(k container.Change) bool { return k.Key == c.Key })
		if !known && c.Effect >= container.EffectSwitch {
			out = append(out, c)
		}
	}
	return out
}

// imageChange is what the same reference stands for now: its content may have
// changed.
func imageChange(s container.Spec, d container.Digest, w Wanted) []container.Change {
	if w.Spec.Image.IsZero() || w.Spec.Image != s.Image || d == w.Digest {
		return nil
	}
	after := "its new content"
	if w.Digest != "" {
		after = w.Digest.Short()
	}
	return []container.Change{{Key: "image", Old: s.Image.String() + " " + d.Short(), New: s.Image.String() + " " + after, Effect: container.EffectRecreate}}
}

// effect is the greatest of all changes. A container that is not alive is
// disturbed by none, but a new image makes its root start over all the same.
func effect(changes []container.Change, alive bool) container.Effect {
	e := container.EffectNone
	for _, c := range changes {
		if alive || c.Effect == container.EffectRecreate {
			e = max(e, c.Effect)
		}
	}
	return e
}

// Pending are the changes of stored that the running guest has not got yet.
func Pending(o Observed) []container.Change {
	if o.Running == nil {
		return nil
	}
	var out []container.Change
	for _, c := range Diff(*o.Running, o.Spec) {
		if c.Effect >= container.EffectSwitch {
			out = append(out, c)
		}
	}
	w := Wanted{Spec: o.Spec, Digest: o.Digest}
	return append(out, imageChange(*o.Running, o.RunningDigest, w)...)
}
