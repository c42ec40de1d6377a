package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// Generations are all of a container, the first first.
func (e *Engine) Generations(ctx context.Context, n container.Name) ([]container.Generation, error) {
	if err := e.mendIdle(ctx, n, idlePatience); err != nil {
		return nil, err
	}
	rec, err := e.Record(n)
	if err != nil {
		return nil, err
	}
	all, err := state.Generations(e.Paths.Container(n))
	if err != nil {
		return nil, err
	}
	current, err := e.runs(rec)
	if err != nil {
		return nil, err
	}
	out := []container.Generation{}
	for _, g := range all {
		_, err := os.Lstat(e.setAsideDir(n, g.Number))
		out = append(out, container.Generation{
			Number: g.Number, Created: g.Created, Image: g.Spec.Image.String(), Digest: g.Digest, System: g.System, Flake: g.Flake, Failed: g.Failed,
			Current: g.Number == current, Next: g.Number == rec.Generation && g.Number != current, SetAside: err == nil,
		})
	}
	return out, nil
}

// runs is the generation that the guest of rec runs, or would if it were
// started.
func (e *Engine) runs(rec *state.Record) (int, error) {
	obs, err := e.supervisor.Observe(rec.Name)
	if err != nil || !obs.State.Alive() {
		return rec.Generation, err
	}
	l, err := e.launched(rec.Name)
	if l == nil {
		return rec.Generation, err
	}
	return l.Generation, err
}

// Rollback is the wish that a container be as it was in the generation to, or
// if that is 0 in the last one before its own that did not fail.
func (e *Engine) Rollback(ctx context.Context, n container.Name, to int) (Wish, error) {
	if err := e.mendIdle(ctx, n, idlePatience); err != nil {
		return Wish{}, err
	}
	rec, err := e.Record(n)
	if err != nil {
		return Wish{}, err
	}
	all, err := state.Generations(e.Paths.Container(n))
	if err != nil {
		return Wish{}, err
	}
	hint := fmt.Sprintf("berth generations %s shows those that there are", n)
	var found *state.Generation
	for i, g := range all {
		if g.Number == to || to == 0 && g.Number < rec.Generation && g.Failed == "" {
			found = &all[i]
		}
	}
	switch {
	case found == nil && to == 0:
		return Wish{}, &container.Error{Subject: string(n), Err: errors.New("there is no generation before its own"), Hint: hint}
	case found == nil:
		return Wish{}, &container.Error{Subject: string(n), Err: fmt.Errorf("there is no generation %d", to), Hint: hint}
	}
	spec := found.Spec
	if found.Number == rec.Generation {
		spec = rec.Spec
	}
	return Wish{Containers: []plan.Wanted{{
		Name: n, Owner: rec.Owner, Spec: spec, Digest: found.Digest, System: found.System, Flake: found.Flake, Generation: found.Number, NoStart: true,
	}}}, nil
}

// Update is the wish that a container have what the references of its spec
// stand for now.
func (e *Engine) Update(ctx context.Context, n container.Name) (Wish, error) {
	if err := e.mendIdle(ctx, n, idlePatience); err != nil {
		return Wish{}, err
	}
	rec, err := e.Record(n)
	if err != nil {
		return Wish{}, err
	}
	if place, ok := e.nixosPlace(rec); ok {
		return e.Nixos().wish(place)
	}
	return Wish{Containers: []plan.Wanted{{Name: n, Owner: rec.Owner, Spec: rec.Spec, NoStart: true}}}, nil
}

// newGeneration is what rec boots, as number.
func newGeneration(rec *state.Record, number int) state.Generation {
	return state.Generation{
		Number: number, Created: time.Now().UTC().Truncate(time.Second), Digest: rec.Digest, System: rec.System, Flake: rec.Flake, Spec: rec.Spec,
	}
}

// succeed gives next, which is to come after rec, its generation: wanted,
// unless that is 0. What rec ran under is kept with its own. Nothing has
// happened before the record is written.
func (e *Engine) succeed(rec, next *state.Record, wanted int) error {
	dir := e.Paths.Container(rec.Name)
	all, err := state.Generations(dir)
	if err != nil {
		return err
	}
	find := func(number int) int {
		return slices.IndexFunc(all, func(g state.Generation) bool { return g.Number == number })
	}
	own := newGeneration(rec, max(rec.Generation, 1))
	if i := find(own.Number); i >= 0 {
		own, own.Spec = all[i], rec.Spec
	} else {
		all = append(all, own)
	}
	if err := state.WriteGeneration(dir, own); err != nil {
		return err
	}
	if next.System == rec.System && next.Digest == rec.Digest {
		next.Generation = own.Number
		return nil
	}
	if i := find(wanted); i >= 0 {
		next.Generation = wanted
		return nil
	}
	last := all[len(all)-1]
	g := newGeneration(next, last.Number+1)
	if last.System == next.System && last.Digest == next.Digest { // which was undone, or never came to be
		g.Number = last.Number
	}
	next.Generation = g.Number
	return state.WriteGeneration(dir, g)
}

// judged notes why an update to the generation of rec was undone, or with ""
// that it was not.
func (e *Engine) judged(rec *state.Record, failed string) error {
	g, err := state.ReadGeneration(e.Paths.Container(rec.Name), rec.Generation)
	if errors.Is(err, fs.ErrNotExist) || err == nil && g.Failed == failed {
		return nil
	} else if err != nil {
		return err
	}
	g.Failed = failed
	return state.WriteGeneration(e.Paths.Container(rec.Name), g)
}

// prune gives up generations of a container that are more than it is to keep,
// and the systems that nobody needs any more.
func (e *Engine) prune(rec *state.Record) error {
	all, err := state.Generations(e.Paths.Container(rec.Name))
	if err != nil {
		return err
	}
	used, err := e.usedGenerations(rec)
	if err != nil {
		return err
	}
	keep := cmp.Or(rec.Spec.KeepGenerations, container.DefaultKeepGenerations)
	for _, g := range all[:max(0, len(all)-keep)] {
		if _, err := os.Lstat(e.setAsideDir(rec.Name, g.Number)); err == nil || used[g.Number] {
			continue // nothing that a guest wrote goes by itself
		}
		if err := state.RemoveGeneration(e.Paths.Container(rec.Name), g.Number); err != nil {
			return err
		}
	}
	return e.trimSystems(rec)
}

// usedGenerations are those of the record, of the running guest, and of a
// transition between two.
func (e *Engine) usedGenerations(rec *state.Record) (map[int]bool, error) {
	used := map[int]bool{rec.Generation: true}
	l, err := e.launched(rec.Name)
	if err != nil {
		return nil, err
	}
	if l != nil {
		used[l.Generation] = true
	}
	t, err := e.Paths.ReadTransition(rec.Name)
	if t != nil {
		used[t.Before.Generation], used[t.After.Generation] = true, true
	}
	return used, err
}

// setAsideDir is where changes are kept that a guest made in a generation
// which is not the current one.
func (e *Engine) setAsideDir(n container.Name, number int) string {
	return filepath.Join(state.GenerationDir(e.Paths.Container(n), number), state.Changes)
}
