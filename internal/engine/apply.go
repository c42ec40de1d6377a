package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"

	"os"
)

// Wish is what the owners of one or more declarations want.
type Wish struct {
	Containers []plan.Wanted
	// Adopt takes over containers that have another owner.
	Adopt bool
	// KeepImages leaves containers at the images that they have, where these
	// are wanted by the same references but have other content by now.
	KeepImages bool
	// Prune destroys the containers of these owners that are not wanted.
	Prune []container.Owner
}

// Plan says what Apply would do. It refuses what Apply would refuse.
func (e *Engine) Plan(ctx context.Context, w Wish) (container.Plan, error) {
	var p container.Plan
	if err := e.checkDependencies(w); err != nil {
		return p, err
	}
	var errs []error
	for _, n := range slices.Concat(e.levels(w)...) {
		s, err := e.planOne(ctx, w, w.wanted(n))
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

// planOne is the step for one container as things are now.
func (e *Engine) planOne(ctx context.Context, w Wish, c plan.Wanted) (container.Step, error) {
	if err := supported(c.Name, c.Spec); err != nil {
		return container.Step{}, err
	}
	o, _, err := e.observed(c.Name)
	if err != nil {
		return container.Step{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	if o != nil && o.Owner != c.Owner && !w.Adopt {
		return container.Step{}, owned(*o)
	}
	switch {
	case o == nil:
	case w.KeepImages && c.Spec.Image == o.Spec.Image:
		c.Digest = o.Digest
	default:
		c.Digest, err = e.currentDigest(ctx, c.Spec.Image, o)
	}
	return plan.Step(c, o), err
}

// currentDigest is what an image reference stands for now, without reading it
// again: empty where its source has changed.
func (e *Engine) currentDigest(ctx context.Context, ref container.ImageRef, o *plan.Observed) (container.Digest, error) {
	img, current, err := e.Images.Lookup(ctx, ref)
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
		Hint: "change it there, or take it over with --adopt"}
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

// Apply carries out a plan that Plan made for the same wish and that its owner
// has agreed to. Where things have changed since so that more would be
// disturbed, it refuses.
func (e *Engine) Apply(ctx context.Context, w Wish, agreed container.Plan) error {
	if err := e.prepare(); err != nil {
		return err
	}
	if _, err := e.Sweep(ctx); err != nil {
		return err
	}
	var errs []error
	for _, s := range agreed.Steps {
		if s.Action == container.ActionDestroy {
			errs = append(errs, wrap(s.Name, e.Destroy(ctx, s.Name, StopLimit)))
		}
	}
	failed := map[container.Name]bool{}
	for _, level := range e.levels(w) {
		results := Each(level, func(n container.Name) error {
			c := w.wanted(n)
			if i := slices.IndexFunc(c.Spec.DependsOn, func(d container.Name) bool { return failed[d] }); i >= 0 {
				return fmt.Errorf("not touched, because %s, which it depends on, failed", c.Spec.DependsOn[i])
			}
			return e.applyOne(ctx, w, c, agreed)
		})
		for i, err := range results {
			failed[level[i]] = err != nil
			errs = append(errs, wrap(level[i], err))
		}
	}
	return errors.Join(errs...)
}

// applyOne makes one container as it is wanted.
func (e *Engine) applyOne(ctx context.Context, w Wish, c plan.Wanted, agreed container.Plan) error {
	started := false
	err := e.locked(ctx, c.Name, func() error {
		s, err := e.planOne(ctx, w, c)
		if err != nil {
			return err
		}
		if s.Disturbs() && !agreedTo(agreed, s) {
			return &container.Error{Err: errors.New("it has changed since the plan was made"), Hint: "run the command again to see the new plan"}
		}
		started = s.Start || s.Restart
		return e.carryOut(ctx, c, s)
	})
	if err != nil || !started {
		return err
	}
	return e.AwaitReady(ctx, c.Name)
}

func agreedTo(p container.Plan, s container.Step) bool {
	return slices.ContainsFunc(p.Steps, func(a container.Step) bool { return a.Name == s.Name && a.Disturbs() })
}

// carryOut does one step; the container's lock is held.
func (e *Engine) carryOut(ctx context.Context, c plan.Wanted, s container.Step) error {
	switch s.Action {
	case container.ActionNone:
		return nil
	case container.ActionCreate:
		if err := e.create(ctx, c.Name, c.Owner, c.Spec); err != nil {
			return err
		}
	case container.ActionUpdate:
		if err := e.update(ctx, c, s); err != nil {
			return err
		}
	}
	if !s.Start && !s.Restart {
		return nil
	}
	rec, err := e.record(c.Name)
	if err != nil {
		return err
	}
	return e.start(ctx, rec)
}

// update makes the stored container as it is wanted, and the running one where
// that does not disturb it. With s.Restart it is left stopped.
func (e *Engine) update(ctx context.Context, c plan.Wanted, s container.Step) error {
	rec, err := e.record(c.Name)
	if err != nil {
		return err
	}
	next := *rec
	next.Owner, next.Spec = c.Owner, c.Spec
	if s.Effect == container.EffectRecreate || rec.Spec.Image != c.Spec.Image {
		img, err := e.Images.Get(ctx, c.Spec.Image)
		if err != nil {
			return err
		}
		next.Digest = img.Digest
	}
	if s.Restart {
		if err := e.ready(&next); err != nil {
			return err
		}
		if err := e.supervisor.Stop(ctx, c.Name, StopLimit); err != nil {
			return err
		}
	}
	if next.Digest != rec.Digest {
		if err := e.setAside(rec); err != nil {
			return err
		}
	}
	if err := state.WriteRecord(e.Paths.Container(c.Name), next); err != nil {
		return err
	}
	return e.applyLive(c)
}

// applyLive changes the limits of a guest that goes on running.
func (e *Engine) applyLive(c plan.Wanted) error {
	obs, err := e.supervisor.Observe(c.Name)
	if err != nil || obs.State != container.Running && obs.State != container.Paused {
		return err
	}
	return e.supervisor.SetLimits(c.Name, c.Spec.Limits)
}

// setAside keeps what the guest of rec changed as a generation, and gives the
// container an empty directory for changes.
func (e *Engine) setAside(rec *state.Record) error {
	dir := e.Paths.Container(rec.Name)
	changes := filepath.Join(dir, state.Changes)
	number := 1
	generation := func() string { return filepath.Join(dir, "generations", strconv.Itoa(number)) }
	for ; ; number++ {
		if _, err := os.Lstat(generation()); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
	}
	if err := os.MkdirAll(generation(), 0o700); err != nil {
		return err
	}
	if err := state.WriteRecord(generation(), *rec); err != nil {
		return err
	}
	if err := os.Rename(changes, filepath.Join(generation(), state.Changes)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return e.ensureChanges(rec.Name)
}

// ensureChanges makes the directory for changes if it is not there, which a
// killed setAside leaves so.
func (e *Engine) ensureChanges(n container.Name) error {
	dir := e.Paths.Container(n)
	changes := filepath.Join(dir, state.Changes)
	if _, err := os.Lstat(changes); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	staging := changes + ".new"
	if err := errors.Join(state.RemoveTree(staging), os.Mkdir(staging, 0o700), rootfs.MakeChanges(staging)); err != nil {
		return err
	}
	if err := os.Rename(staging, changes); err != nil {
		return err
	}
	return state.SyncDir(dir)
}

// wrap puts a container's name before an error that does not have it yet.
func wrap(n container.Name, err error) error {
	var e *container.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.Subject == string(n):
		return err
	case errors.As(err, &e) && e.Subject == "" && e.Op == "":
		named := *e
		named.Subject = string(n)
		return &named
	}
	return fmt.Errorf("%s: %w", n, err)
}
