package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/supervise"
)

// Wish is what the owners of one or more declarations want.
type Wish struct {
	Containers []plan.Wanted
	Networks   []WantedNetwork
	// Adopt takes over containers that have another owner.
	Adopt bool
	// KeepImages leaves containers at the images that they have, where these
	// are wanted by the same references but have other content by now.
	KeepImages bool
	// Prune destroys the containers of these owners that are not wanted.
	Prune []container.Owner
	// NixFlags are flags for the host's Nix, as build.PassedOn has them.
	NixFlags []string
	// Boot leaves running guests with the systems that they have until their next
	// start.
	Boot bool
	// NoRollback leaves guests with a new system that they are not healthy with,
	// for a look.
	NoRollback bool

	networks network.Networks // as they are to be
	images   *image.Once
}

// Apply carries out a plan that Plan made for the same wish and that its owner
// has agreed to. Where things have changed since so that more would be
// disturbed, it refuses.
func (e *Engine) Apply(ctx context.Context, w Wish, agreed container.Plan) error {
	defer e.Close()
	if err := e.prepare(); err != nil {
		return err
	}
	if _, err := e.Sweep(ctx); err != nil {
		return err
	}
	w.images = e.Images.Once()
	var errs []error
	for _, s := range agreed.Steps {
		if s.Action == container.ActionDestroy {
			errs = append(errs, container.Named(s.Name, e.Destroy(ctx, s.Name, StopLimit)))
		}
	}
	w, err := e.applyNetworks(ctx, asAgreed(w, agreed))
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if err := e.releasePorts(ctx, w); err != nil {
		return errors.Join(append(errs, err)...)
	}
	failed := map[container.Name]bool{}
	for _, level := range e.levels(w) {
		a := e.aroundWith(w)
		results := Each(level, func(n container.Name) error {
			c := w.wanted(n)
			if i := slices.IndexFunc(c.Spec.DependsOn, func(d container.Name) bool { return failed[d] }); i >= 0 {
				return fmt.Errorf("not touched, because %s, which it depends on, failed", c.Spec.DependsOn[i])
			}
			return e.applyOne(ctx, w, c, a, agreed)
		})
		for i, err := range results {
			failed[level[i]] = err != nil
			errs = append(errs, container.Named(level[i], err))
		}
	}
	return errors.Join(append(errs, e.forgetNetworks(ctx))...)
}

// applyOne makes one container as it is wanted. Others are what a says; before
// a start they are looked at anew.
func (e *Engine) applyOne(ctx context.Context, w Wish, c plan.Wanted, a around, agreed container.Plan) error {
	started := false
	err := e.locked(ctx, c.Name, func() error {
		if err := e.mend(ctx, c.Name); err != nil {
			return err
		}
		c, s, err := e.planOne(ctx, w, c, a)
		if err != nil {
			return err
		}
		if err := agreedTo(agreed, s); err != nil {
			return err
		}
		started = s.Start || s.Restart
		return errors.Join(e.carryOut(ctx, w, c, s), e.keepProfile(c.Name))
	})
	if err != nil || !started {
		return err
	}
	return e.AwaitReady(ctx, c.Name)
}

// agreedTo refuses a step that is more than what was agreed to, because things
// have changed since.
func agreedTo(p container.Plan, s container.Step) error {
	i := slices.IndexFunc(p.Steps, func(a container.Step) bool { return a.Name == s.Name })
	switch {
	case i >= 0 && p.Steps[i].Action == container.ActionCreate && s.Action == container.ActionUpdate:
		return &container.Error{Err: container.ErrExists, Hint: "another command has just made it"}
	case s.Disturbs() && (i < 0 || !p.Steps[i].Disturbs()), s.Switch && (i < 0 || !p.Steps[i].Disturbs() && !p.Steps[i].Switch):
		return &container.Error{Err: errors.New("it has changed since the plan was made"), Hint: "run the command again to see the new plan"}
	}
	return nil
}

// carryOut does one step; the container's lock is held.
func (e *Engine) carryOut(ctx context.Context, w Wish, c plan.Wanted, s container.Step) error {
	if s.Start || s.Restart { // known before an image is fetched, and a guest stopped
		if err := checkSources(c.Spec); err != nil {
			return err
		}
	}
	switch s.Action {
	case container.ActionNone:
		return nil
	case container.ActionCreate:
		if err := e.create(ctx, w, c); err != nil {
			return err
		}
	case container.ActionUpdate:
		if err := e.update(ctx, w, c, s); err != nil {
			return err
		}
	}
	if !s.Start && !s.Restart {
		return e.configure(ctx, c.Name)
	}
	rec, err := e.record(c.Name)
	if err != nil {
		return err
	}
	return e.start(ctx, rec)
}

// configure has others than berth start a container as its spec wants it. One
// that runs has been changed already.
func (e *Engine) configure(ctx context.Context, n container.Name) error {
	c, ok := e.supervisor.(supervise.Configurer)
	if !ok {
		return nil
	}
	obs, err := e.supervisor.Observe(n)
	if err != nil || obs.State.Alive() {
		return err
	}
	return c.Configure(ctx, n)
}
