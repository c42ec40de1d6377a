package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// current fills in what the references of c stand for now.
func (e *Engine) current(ctx context.Context, w Wish, c *plan.Wanted, o *plan.Observed) (err error) {
	switch {
	case c.System != "":
	case isMade(c.Spec):
		err = &container.Error{Err: errors.New("its system has not been built or pulled"), Hint: "make a new plan"}
	case c.Spec.System != "" && o != nil && w.KeepImages && c.Spec.System == o.Spec.System:
		c.System = o.System
	case c.Spec.System != "":
		c.System, err = closure.Resolve(c.Spec.System)
	case o == nil, c.Digest != "":
	case w.KeepImages && c.Spec.Image == o.Spec.Image:
		c.Digest = o.Digest
	default:
		c.Digest, err = e.currentDigest(ctx, w, c.Spec.Image, o)
	}
	return err
}

// systemsOf are the systems that a container may need: that of its record,
// those that its running guest sees, those between which it is on its way, and
// those of its generations, and those that its own store needs. Some may be
// empty, and some there twice.
func (e *Engine) systemsOf(rec *state.Record) ([]container.StorePath, error) {
	out := []container.StorePath{rec.System}
	l, err := e.launched(rec.Name)
	if err != nil {
		return nil, err
	}
	if l != nil {
		out = append(append(out, l.System), l.Shown...)
	}
	t, err := e.Paths.ReadTransition(rec.Name)
	if err != nil {
		return nil, err
	}
	if t != nil {
		out = append(out, t.Before.System, t.After.System)
	}
	given, err := e.givenSystems(rec.Name)
	if err != nil {
		return nil, err
	}
	out = append(out, given...)
	all, err := state.Generations(e.Paths.Container(rec.Name))
	for _, g := range all {
		out = append(out, g.System)
	}
	return out, err
}

// noSwitch is why the running guest of o could not change to what is wanted in
// place: a guest that sees all of a store sees that one alone, and systems may
// have no switch, or different kinds of init.
func (e *Engine) noSwitch(ctx context.Context, c plan.Wanted, o *plan.Observed) (string, error) {
	if o == nil || o.RunningSystem == "" || c.System == "" || c.System == o.RunningSystem {
		return "", nil
	}
	has, err := e.closures.Closure(c.Name, o.RunningSystem)
	if errors.Is(err, fs.ErrNotExist) && !c.Spec.WholeStore() {
		return "", nil // nothing is known of it: the switch itself will tell
	}
	if err != nil {
		return "", err
	}
	dir := has.Dir
	if _, err := os.Lstat(filepath.Join(dir, c.System.Base())); c.Spec.WholeStore() || err != nil {
		wants, err := e.closures.Look(ctx, c.Name, c.System)
		if err != nil {
			return "", err
		}
		dir = wants.Dir
	}
	if dir != has.Dir && c.Spec.WholeStore() {
		return fmt.Sprintf("its system is in another store, %s", dir), nil
	}
	return closure.NoSwitch(filepath.Join(has.Dir, o.RunningSystem.Base()), filepath.Join(dir, c.System.Base()))
}

// trimSystems gives up the systems that a container does not need any more.
func (e *Engine) trimSystems(rec *state.Record) error {
	keep, err := e.systemsOf(rec)
	if err != nil {
		return err
	}
	return e.closures.Trim(rec.Name, keep...)
}

// origin is why what the guest of rec boots is not there; nil if it is.
func (e *Engine) origin(rec *state.Record) error {
	if rec.System != "" {
		return e.closures.Check(rec.Name, rec.System)
	}
	if _, err := e.Images.Find(string(rec.Digest)); err != nil {
		return &container.Error{Err: fmt.Errorf("its image %s is gone: %w", rec.Digest.Short(), err),
			Hint: fmt.Sprintf("berth image import %s brings it back, if its source is unchanged", rec.Spec.Image)}
	}
	return nil
}

// systemsLeft are systems that were kept for containers which have gone.
func (e *Engine) systemsLeft() []leftover {
	names, _ := e.closures.Names()
	var out []leftover
	for _, n := range names {
		if !e.orphan(n) {
			continue
		}
		out = append(out, leftover{what: e.Paths.System(n), remove: func(context.Context) (bool, error) {
			return e.unlessLocked(e.Paths.Lock(n), func() error {
				if !e.orphan(n) {
					return nil
				}
				return errors.Join(e.closures.Forget(n), state.RemoveFile(e.Paths.Lock(n)))
			})
		}})
	}
	return out
}

// systemNotes are what the owner of a guest should know about its store.
func systemNotes(s container.Spec) []string {
	notes := nixNotes(s)
	if !s.WholeStore() || hasRange(s) {
		return notes
	}
	return append(notes, "storeAccess: with privateUsers: "+s.PrivateUsers.String()+" root in the guest can make the host's store writable again; with closure it cannot")
}
