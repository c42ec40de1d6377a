package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// letGo stops containers of these owners that w does not name: they do not start
// with the machine, and are those of the command line from then on. Nothing of
// theirs is lost.
func (a *app) letGo(ctx context.Context, h *berth.Host, w berth.Wish, owners []container.Owner) error {
	names, err := undeclared(h, w, owners)
	if err != nil || len(names) == 0 {
		return err
	}
	if ok, err := a.agreed(fmt.Sprintf("Stop %s, no longer declared, and keep the data?", list(names))); err != nil {
		return err
	} else if !ok {
		return errors.New("nothing was done")
	}
	if err := a.stop(ctx, h, names, berth.StopLimit); err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, container.Named(n, disown(ctx, h, n)))
	}
	return errors.Join(errs...)
}

// undeclared are the containers of these owners that w does not name.
func undeclared(h *berth.Host, w berth.Wish, owners []container.Owner) ([]container.Name, error) {
	all, err := h.Select(berth.Selection{All: true})
	if err != nil {
		return nil, err
	}
	var names []container.Name
	for _, n := range all {
		_, owner, err := h.Spec(n)
		if err == nil && slices.Contains(owners, owner) && !slices.ContainsFunc(w.Containers, func(c berth.Wanted) bool { return c.Name == n }) {
			names = append(names, n)
		}
	}
	return names, nil
}

// disown gives a container that is stopped to the command line.
func disown(ctx context.Context, h *berth.Host, n container.Name) error {
	spec, _, err := h.Spec(n)
	if err != nil {
		return err
	}
	spec.AutoStart = false
	w := berth.Wish{Adopt: true, KeepImages: true, Containers: []berth.Wanted{{Name: n, Owner: container.OwnerCLI, Spec: spec, NoStart: true}}}
	p, err := h.Plan(ctx, w)
	if err != nil {
		return err
	}
	return h.Apply(ctx, w, p)
}
