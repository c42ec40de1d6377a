package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// current fills in what the references of c stand for now.
func (e *Engine) current(ctx context.Context, w Wish, c *plan.Wanted, o *plan.Observed) (err error) {
	switch {
	case c.System != "":
	case isBuilt(c.Spec):
		err = &container.Error{Err: errors.New("its system has not been built"), Hint: "make a new plan"}
	case c.Spec.System != "" && o != nil && w.KeepImages && c.Spec.System == o.Spec.System:
		c.System = o.System
	case c.Spec.System != "":
		c.System, err = closure.Resolve(c.Spec.System)
	case o == nil, c.Digest != "":
	case w.KeepImages && c.Spec.Image == o.Spec.Image:
		c.Digest = o.Digest
	default:
		c.Digest, err = e.currentDigest(ctx, c.Spec.Image, o)
	}
	return err
}

// trimSystems gives up the systems that a container has had.
func (e *Engine) trimSystems(rec *state.Record) error {
	keep := []container.StorePath{rec.System}
	l, err := e.launched(rec.Name)
	if err != nil {
		return err
	}
	if l != nil {
		keep = append(keep, l.System)
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
	if s.StoreAccess != container.StoreHost || s.PrivateUsers.Mode == container.UsersPick || s.PrivateUsers.Mode == container.UsersBase {
		return nil
	}
	return []string{"storeAccess: with privateUsers: " + s.PrivateUsers.String() + " root in the guest can make the host's store writable again; with closure it cannot"}
}
