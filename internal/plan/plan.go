package plan

import (
	"cmp"
	"reflect"
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
	// System is what Spec.System stands for now, or what was built of the flake or
	// the module. Flake is that flake as Nix has locked it.
	System container.StorePath
	Flake  string
	// Root is where the guest's root lies, if not among what berth keeps itself.
	Root string
	// Generation is a kept one that is to be taken; 0: none, or a new one.
	Generation int
	// NoStart leaves a container stopped that is not alive.
	NoStart bool
	// Boot leaves a living guest with the system that it has until its next
	// start.
	Boot bool
	// NoSwitch is why the running guest could not change its system in place.
	NoSwitch string
	// Changes are of what the living guest stands on, beside those of its spec.
	Changes []container.Change
}

// Observed is what is there of one container.
type Observed struct {
	Name   container.Name
	Owner  container.Owner
	Spec   container.Spec
	Digest container.Digest
	System container.StorePath
	State  container.State
	// Running, RunningDigest and RunningSystem are what the living guest was started with;
	// nil where none lives.
	Running       *container.Spec
	RunningDigest container.Digest
	RunningSystem container.StorePath
}

// Step says what has to happen to one container so that it is as w wants it. o
// is nil where there is no such container.
func Step(w Wanted, o *Observed) container.Step {
	if o == nil {
		return container.Step{Name: w.Name, Action: container.ActionCreate, Start: w.Spec.AutoStart && !w.NoStart}
	}
	s := container.Step{Name: w.Name, Action: container.ActionNone}
	alive := o.State.Alive()
	stored := stored(w, *o)
	if len(stored) > 0 || o.Owner != w.Owner {
		s.Action = container.ActionUpdate
	}
	s.Changes = append(append(stored, waiting(w, *o, stored)...), w.Changes...)
	s.Effect = effect(s.Changes, alive)
	if s.Effect == container.EffectSwitch && (w.NoSwitch != "" || o.State != container.Running) {
		s.Effect, s.Why = container.EffectRestart, w.NoSwitch
	}
	switch {
	case o.State == container.Unsupervised:
		s.Restart, s.Why = true, "its supervisor was killed"
		s.Effect = max(s.Effect, container.EffectRestart)
	case alive && w.Boot && s.Effect == container.EffectRecreate:
		return container.Step{Name: w.Name, Action: container.ActionNone, Changes: s.Changes, Why: "stop it and apply again, for the new image and all else"}
	case alive && w.Boot && s.Effect >= container.EffectSwitch:
		s.Why = "it waits for the next start"
	case alive && w.Spec.RestartIfChanged && s.Effect == container.EffectSwitch:
		s.Switch = true
	case alive && w.Spec.RestartIfChanged && s.Effect >= container.EffectRestart:
		s.Restart = true
	case alive && s.Effect == container.EffectRecreate:
		// The changes of the running guest belong to the image that it has.
		return container.Step{Name: w.Name, Action: container.ActionNone, Changes: s.Changes,
			Why: "restartIfChanged is false: stop it and apply again, for the new image and all else"}
	case alive && s.Effect >= container.EffectSwitch:
		s.Why = "restartIfChanged is false: it waits for the next start"
	case !alive && w.Spec.AutoStart && !w.NoStart:
		s.Start = true
		s.Action = cmp.Or(noNone(s.Action), container.ActionStart)
	}
	if s.Restart || s.Switch {
		s.Action = container.ActionUpdate
	}
	if s.Action == container.ActionNone {
		s.Effect = container.EffectNone // what waits for the next start has none now
	}
	return s
}

func noNone(a container.Action) container.Action {
	if a == container.ActionNone {
		return ""
	}
	return a
}

// stored are the changes against the stored spec. One that only takes back
// what the running guest has not got yet does not disturb it.
func stored(w Wanted, o Observed) []container.Change {
	out := diffOf(o.Spec, o.System, w)
	if o.Running != nil {
		running := diffOf(*o.Running, o.RunningSystem, w)
		for i, c := range out {
			if !hasKey(running, c.Key) && c.Key != "image" {
				out[i].Effect = min(c.Effect, container.EffectLive)
			}
		}
	}
	return append(out, imageChange(o.Spec, o.Digest, w)...)
}

// waiting are the changes, beside known ones, that the running guest has not
// got yet.
func waiting(w Wanted, o Observed, known []container.Change) []container.Change {
	if o.Running == nil {
		return nil
	}
	var out []container.Change
	for _, c := range append(diffOf(*o.Running, o.RunningSystem, w), imageChange(*o.Running, o.RunningDigest, w)...) {
		if !hasKey(known, c.Key) && c.Effect >= container.EffectSwitch {
			out = append(out, c)
		}
	}
	return out
}

func hasKey(changes []container.Change, key string) bool {
	return slices.ContainsFunc(changes, func(c container.Change) bool { return c.Key == key })
}

// diffOf is the difference between two specs, of which the second stands for
// certain systems. Links may lead to another one, and two to the same.
func diffOf(s container.Spec, p container.StorePath, w Wanted) []container.Change {
	out := Diff(s, w.Spec)
	if w.System == "" || p == "" {
		return out
	}
	for i, c := range out {
		if c.Effect == container.EffectSwitch && p == w.System {
			out[i].Effect = container.EffectLive // only the way to it is another one
		}
	}
	if p != w.System && !hasKey(out, "system") {
		out = append(out, container.Change{Key: "system", Old: p.Short(), New: w.System.Short(), Effect: container.EffectSwitch})
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
	if o.Running == nil || o.Digest == o.RunningDigest && o.System == o.RunningSystem && reflect.DeepEqual(*o.Running, o.Spec) {
		return nil
	}
	var out []container.Change
	w := Wanted{Spec: o.Spec, Digest: o.Digest, System: o.System}
	for _, c := range diffOf(*o.Running, o.RunningSystem, w) {
		if c.Effect >= container.EffectSwitch {
			out = append(out, c)
		}
	}
	return append(out, imageChange(*o.Running, o.RunningDigest, w)...)
}
