package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// Plan says what Apply would do. It refuses what Apply would refuse.
func (e *Engine) Plan(ctx context.Context, w Wish) (container.Plan, error) {
	var p container.Plan
	err := e.checkDependencies(w)
	if err != nil {
		return p, err
	}
	w, p.Networks, err = e.planNetworks(w)
	if err != nil {
		return p, err
	}
	if w, err = e.build(ctx, w); err != nil {
		return p, err
	}
	if w, err = e.pull(ctx, w); err != nil {
		return p, err
	}
	w.images = e.Images.Once()
	a := e.aroundWith(w)
	var errs []error
	for _, n := range slices.Concat(e.levels(w)...) {
		if err := e.mendIdle(ctx, n, idlePatience); err != nil {
			errs = append(errs, err)
			continue
		}
		c, s, err := e.planOne(ctx, w, w.wanted(n), a)
		if err == nil {
			s.Notes, err = e.stepNotes(w, c, s, a)
		}
		if err == nil {
			s.Packages, err = e.packages(ctx, c, s)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.Steps = append(p.Steps, s)
	}
	pruned, err := e.pruned(w)
	for _, n := range pruned {
		p.Steps = append(p.Steps, container.Step{Name: n, Action: container.ActionDestroy, Why: "no longer declared"})
	}
	return p, errors.Join(append(errs, err)...)
}

func (w Wish) wanted(n container.Name) plan.Wanted {
	i := slices.IndexFunc(w.Containers, func(c plan.Wanted) bool { return c.Name == n })
	return w.Containers[i]
}

func (e *Engine) levels(w Wish) [][]container.Name {
	names := make([]container.Name, len(w.Containers))
	for i, c := range w.Containers {
		names[i] = c.Name
	}
	return plan.Levels(names, func(n container.Name) []container.Name { return w.wanted(n).Spec.DependsOn })
}

// planOne is the step for one container as things are now, and what is wanted
// with what its references stand for now. a is what it comes into.
func (e *Engine) planOne(ctx context.Context, w Wish, c plan.Wanted, a around) (plan.Wanted, container.Step, error) {
	if err := supported(c.Name, c.Spec); err != nil {
		return c, container.Step{}, err
	}
	o, _, err := e.observed(c.Name)
	if err != nil {
		return c, container.Step{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	if o != nil && o.Owner != c.Owner && !w.Adopt {
		return c, container.Step{}, owned(*o)
	}
	if err := e.current(ctx, w, &c, o); err != nil {
		return c, container.Step{}, container.Named(c.Name, err)
	}
	if c.Changes, err = e.stale(c.Name, w.networks); err != nil {
		return c, container.Step{}, err
	}
	c.Boot = w.Boot
	if c.NoSwitch, err = e.noSwitch(ctx, c, o); err != nil {
		return c, container.Step{}, container.Named(c.Name, err)
	}
	s := plan.Step(c, o)
	s.System, s.Flake = c.System, c.Flake
	if s.Action != container.ActionNone {
		err = container.Named(c.Name, errors.Join(e.networkFits(c, o, s, a), e.nixFits(ctx, c, s)))
	}
	return c, s, err
}

// stepNotes are what an owner should know of a step beforehand.
func (e *Engine) stepNotes(w Wish, c plan.Wanted, s container.Step, a around) ([]string, error) {
	var out []string
	var err error
	if s.Action != container.ActionNone {
		if s.Effect != container.EffectLive { // the guest goes on as it is
			out = networkNotes(c.Spec)
		}
		listen, listenErr := listenNotes(c.Spec, w.networks, a)
		names, namesErr := ingressNotes(c.Spec, a)
		users, usersErr := usersNotes(c, a)
		out = slices.Concat(out, users, listen, names, systemNotes(c.Spec), sourceNotes(c.Spec, s))
		err = container.Named(c.Name, errors.Join(listenErr, namesErr, usersErr))
	}
	if s.Action != container.ActionCreate {
		out = append(out, e.selfSwitched(c.Name)...)
	}
	return append(out, e.failedBefore(c, s)...), err
}

// packages are what changes with a step from one system to another; nil where
// it does not.
func (e *Engine) packages(ctx context.Context, c plan.Wanted, s container.Step) (*container.PackageDiff, error) {
	rec, err := e.record(c.Name)
	if errors.Is(err, container.ErrNotFound) || s.Action != container.ActionUpdate {
		return nil, nil
	} else if err != nil {
		return nil, container.Named(c.Name, err)
	}
	before := rec.System
	if l, err := e.launched(c.Name); err == nil && l != nil {
		before = l.System
	}
	if before == "" || c.System == "" || before == c.System {
		return nil, nil
	}
	d, err := e.closures.Diff(ctx, c.Name, before, c.System)
	if err != nil {
		return nil, container.Named(c.Name, err)
	}
	return &d, nil
}

// failedBefore tells that a step leads to a system which a guest was taken back
// from.
func (e *Engine) failedBefore(c plan.Wanted, s container.Step) []string {
	if c.System == "" || s.Action != container.ActionUpdate {
		return nil
	}
	all, _ := state.Generations(e.Paths.Container(c.Name)) // what is wrong with them is for who needs them to say
	for _, g := range slices.Backward(all) {
		if g.System == c.System && g.Failed != "" {
			return []string{fmt.Sprintf("generation %d, which has this system, was undone: %s", g.Number, g.Failed)}
		}
	}
	return nil
}

// currentDigest is what an image reference stands for now, without reading it
// again: empty where its source has changed.
func (e *Engine) currentDigest(ctx context.Context, w Wish, ref container.ImageRef, o *plan.Observed) (container.Digest, error) {
	img, current, err := w.images.Lookup(ctx, ref)
	switch {
	case err != nil:
		return "", err
	case current:
		return img.Digest, nil
	case img.Digest == "" && ref == o.Spec.Image: // only its name is gone from the store
		return o.Digest, nil
	}
	return "", nil
}

func owned(o plan.Observed) error {
	return &container.Error{Subject: string(o.Name), Err: fmt.Errorf("%w: %s", container.ErrOwned, o.Owner), Code: container.CodeOwned,
		Hint: o.Owner.HowToChange() + ", or take it over with --adopt"}
}

// pruned are the containers that Apply destroys, those that depend on others
// first.
func (e *Engine) pruned(w Wish) ([]container.Name, error) {
	if len(w.Prune) == 0 {
		return nil, nil
	}
	names, err := e.Names()
	if err != nil {
		return nil, err
	}
	deps := map[container.Name][]container.Name{}
	var out []container.Name
	for _, n := range names {
		rec, err := e.record(n)
		if err != nil || !slices.Contains(w.Prune, rec.Owner) || slices.ContainsFunc(w.Containers, func(c plan.Wanted) bool { return c.Name == n }) {
			continue
		}
		out, deps[n] = append(out, n), rec.Spec.DependsOn
	}
	out = slices.Concat(plan.Levels(out, func(n container.Name) []container.Name { return deps[n] })...)
	slices.Reverse(out)
	return out, nil
}
