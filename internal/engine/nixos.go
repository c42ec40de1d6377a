package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/nixos"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// Nixos works on containers as nixos-container(8) does: each is declared by a
// file NAME.conf, and berth follows what that says whenever it starts one.
// Those that a unit container@NAME.service of the host runs are left to it.
type Nixos struct{ e *Engine }

// Nixos gives the containers of nixos-container.
func (e *Engine) Nixos() Nixos { return Nixos{e} }

// Names are those of all containers that have a file, and of others that berth
// runs with a NixOS system, sorted.
func (x Nixos) Names() ([]string, error) {
	names, err := nixos.Names(x.e.Paths)
	if err != nil {
		return nil, err
	}
	all, err := x.e.Names()
	declared := len(names)
	for _, n := range all {
		if _, has := slices.BinarySearch(names[:declared], string(n)); has { // whoever runs it: to read its record takes longer than all else
			continue
		}
		if rec, ok := x.other(n); ok {
			names = append(names, string(rec.Name))
		}
	}
	slices.Sort(names)
	return names, err
}

// Imperative are the names of those that the configuration of the host has not
// made, and that berth can run.
func (x Nixos) Imperative() ([]container.Name, error) {
	all, err := x.Names()
	var out []container.Name
	for _, name := range all {
		n, err := container.ParseName(name)
		if err != nil {
			continue
		}
		if place, err := x.find(n); err == nil && place.Conf != "" && !place.Declarative() {
			out = append(out, n)
		}
	}
	return out, err
}

// find looks for a container that has to be there. One without a file, which
// berth runs with a NixOS system, has no Conf in its place.
func (x Nixos) find(n container.Name) (nixos.Place, error) {
	place, err := nixos.Find(x.e.Paths, n)
	if errors.Is(err, container.ErrNotFound) {
		if rec, ok := x.other(n); ok {
			return nixos.Place{Name: n, Root: x.e.Paths.Changed(rec)}, nil
		}
		if x.hidden(n) {
			return place, container.NeedsRoot()
		}
		err = &container.Error{Subject: string(n), Err: err, Code: container.CodeNotFound, Hint: "nixos-container list shows the containers that there are"}
	}
	return place, err
}

// other is a container that no file of nixos-container declares, and that berth
// runs with a NixOS system: the module of berth has made it, say.
func (x Nixos) other(n container.Name) (*state.Record, bool) {
	rec, err := x.e.record(n)
	if err != nil || rec.System == "" {
		return nil, false
	}
	_, followed := x.e.nixosPlace(rec)
	return rec, !followed
}

// notOurs refuses to change a container that has no file.
func (x Nixos) notOurs(rec *state.Record) error {
	if _, file := rec.Owner.File(); file {
		return &container.Error{Subject: string(rec.Name), Err: fmt.Errorf("it is declarative: %s", rec.Owner), Code: container.CodeOwned, Hint: "change it there; on NixOS in configuration.nix, with nixos-rebuild switch"}
	}
	return &container.Error{Subject: string(rec.Name), Err: errors.New("berth create has made it, and it has no file"), Code: container.CodeOwned,
		Hint: fmt.Sprintf("berth update %[1]s and berth set %[1]s change it", rec.Name)}
}

// locked calls f with the lock of a container's file, which is held while that
// is made, followed or removed.
func (x Nixos) locked(ctx context.Context, n container.Name, f func() error) error {
	lock, err := state.AwaitLock(ctx, x.lockFile(n))
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return errors.Join(f(), lock.Unlock())
}

func (x Nixos) lockFile(n container.Name) string {
	return filepath.Join(x.e.Paths.Locks(), ".nixos-"+string(n))
}

// wish is what the file of a container declares.
func (x Nixos) wish(place nixos.Place) (Wish, error) {
	d, err := place.Declared()
	if err != nil {
		return Wish{}, err
	}
	return wishFor(place, d.Spec), nil
}

// wishFor is that a container have a spec.
func wishFor(place nixos.Place, s container.Spec) Wish {
	return Wish{Containers: []plan.Wanted{{Name: place.Name, Owner: place.Owner(), Spec: s, Root: place.Root, NoStart: true}}}
}

// follow makes the container as its file declares it, and leaves it stopped
// where it is. One that runs is not touched.
func (x Nixos) follow(ctx context.Context, place nixos.Place) error {
	w, err := x.wish(place)
	if err != nil {
		return err
	}
	if obs, err := x.e.supervisor.Observe(place.Name); err != nil || obs.State.Alive() {
		return err
	}
	if err := place.MakeRoot(); err != nil {
		return err
	}
	p, err := x.e.Plan(ctx, w)
	if err != nil || p.Empty() {
		return err
	}
	if err := x.e.Apply(ctx, w, p); err != nil {
		return err
	}
	return x.keepOwners(ctx, place)
}

// followAll follows the files of all containers that berth runs. What is wrong
// with one is an error of its own.
func (x Nixos) followAll(ctx context.Context) error {
	names, err := x.e.Names()
	errs := []error{err}
	for _, n := range names {
		rec, err := x.e.record(n)
		if err != nil {
			continue // told by what is to start it
		}
		place, ok := x.e.nixosPlace(rec)
		if _, err := os.Stat(place.Conf); !ok || err != nil {
			continue
		}
		errs = append(errs, container.Named(n, x.locked(ctx, n, func() error { return x.follow(ctx, place) })))
	}
	return errors.Join(errs...)
}

// keepOwners has the container use the files in its root as they are.
func (x Nixos) keepOwners(ctx context.Context, place nixos.Place) error {
	return x.e.locked(ctx, place.Name, func() error { return x.e.useOwners(place, "write PRIVATE_USERS=pick in "+place.Conf) })
}

// useOwners has a container use the files in its root as they are, where a
// systemd-nspawn has given them to a range of users. Its lock is held.
func (e *Engine) useOwners(place nixos.Place, remedy string) error {
	base, err := place.Shifted()
	if err != nil || base == 0 {
		return err
	}
	rec, err := e.record(place.Name)
	if err != nil {
		return err
	}
	if rec.Spec.PrivateUsers.Mode == container.UsersPick {
		rec.UIDBase = base
	}
	if launch.UIDBase(rec) != base {
		return &container.Error{Err: fmt.Errorf("the files in %s belong to the users from %d on, and privateUsers says something else", place.Root, base), Hint: remedy}
	}
	return errors.Join(state.WriteRecord(e.Paths.Container(place.Name), *rec), launch.KeepOwners(e.Paths, place.Name, base))
}

// foreign is the unit of the host that runs a container, and what it is at; ok
// is false for one that berth runs.
func (x Nixos) foreign(ctx context.Context, n container.Name) (unit string, o supervise.Observation, ok bool, err error) {
	others, can := x.e.supervisor.(supervise.Others)
	if !can {
		return "", o, false, nil
	}
	if _, err := x.e.record(n); !errors.Is(err, container.ErrNotFound) {
		return "", o, false, nil
	}
	unit = systemd.NixosUnit(n)
	o, ok, err = others.Other(ctx, unit)
	return unit, o, ok, err
}

// order has the host's unit do something, if the container has one.
func (x Nixos) order(ctx context.Context, n container.Name, orders ...supervise.Order) (ordered bool, err error) {
	unit, _, ok, err := x.foreign(ctx, n)
	if !ok || err != nil {
		return false, err
	}
	for _, o := range orders {
		if err := x.e.supervisor.(supervise.Others).Order(ctx, unit, o); err != nil {
			return true, err
		}
	}
	return true, nil
}

// Start starts a container as its file declares it now. One that has been
// destroyed, and whose data has been brought back, gets its file back.
func (x Nixos) Start(ctx context.Context, n container.Name) error {
	place, err := x.find(n)
	if errors.Is(err, container.ErrNotFound) {
		if recalled, recallErr := x.recall(ctx, n); recalled || recallErr != nil {
			place, err = nixos.New(x.e.Paths, n), recallErr
		}
	}
	if err != nil {
		return err
	}
	if ordered, err := x.order(ctx, n, supervise.OrderStart); ordered || err != nil {
		return err
	}
	if place.Conf == "" {
		return x.e.Start(ctx, n)
	}
	err = x.locked(ctx, n, func() error {
		if err := x.ensureSystem(ctx, place); err != nil {
			return err
		}
		return x.follow(ctx, place)
	})
	if err != nil {
		return err
	}
	return x.e.Start(ctx, n)
}

// Stop shuts a container down.
func (x Nixos) Stop(ctx context.Context, n container.Name, limit time.Duration) error {
	if _, err := x.find(n); err != nil {
		return err
	}
	if ordered, err := x.order(ctx, n, supervise.OrderStop); ordered || err != nil {
		return err
	}
	err := x.e.Stop(ctx, n, limit)
	if errors.Is(err, container.ErrNotFound) { // it has never been started
		return nil
	}
	return err
}

// Terminate kills a container that runs.
func (x Nixos) Terminate(ctx context.Context, n container.Name) error {
	st, err := x.State(ctx, n)
	if err != nil {
		return err
	}
	if !st.Alive() {
		return &container.Error{Subject: string(n), Err: container.ErrNotRunning}
	}
	if ordered, err := x.order(ctx, n, supervise.OrderKill); ordered || err != nil {
		return err
	}
	return x.e.Terminate(ctx, n)
}

// Restart stops a container, if it runs, and starts it as its file declares it
// now. It does not stop one whose file cannot be followed.
func (x Nixos) Restart(ctx context.Context, n container.Name, limit time.Duration) error {
	place, err := x.find(n)
	if err != nil {
		return err
	}
	if ordered, err := x.order(ctx, n, supervise.OrderStop, supervise.OrderStart); ordered || err != nil {
		return err
	}
	if place.Conf == "" {
		return x.e.Restart(ctx, n, limit)
	}
	if _, err := x.wish(place); err != nil {
		return err
	}
	if err := x.Stop(ctx, n, limit); err != nil {
		return err
	}
	return x.Start(ctx, n)
}

// Exec runs a program in a running container, whoever runs that.
func (x Nixos) Exec(ctx context.Context, n container.Name, c guest.Command) (int, error) {
	if _, err := x.find(n); err != nil {
		return guest.CodeFailed, err
	}
	_, o, ok, err := x.foreign(ctx, n)
	switch {
	case err != nil:
		return guest.CodeFailed, err
	case !ok:
		return x.exec(ctx, n, c)
	case o.Leader == 0:
		return guest.CodeFailed, &container.Error{Subject: string(n), Err: fmt.Errorf("%w (%s)", container.ErrNotRunning, o.State)}
	}
	g, err := x.e.enter(ctx, o)
	if err != nil {
		return guest.CodeFailed, err
	}
	defer g.Close()
	c.Way = x.e.way(c.Way)
	return g.Exec(ctx, c)
}

// exec is Exec in a container that berth runs, or nobody.
func (x Nixos) exec(ctx context.Context, n container.Name, c guest.Command) (int, error) {
	code, err := x.e.Exec(ctx, n, c)
	if errors.Is(err, container.ErrNotFound) { // it has a file, and has never been started
		err = &container.Error{Subject: string(n), Err: container.ErrNotRunning}
	}
	return code, err
}
