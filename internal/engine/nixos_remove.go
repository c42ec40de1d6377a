package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare/conf"
	"github.com/berth-containers/berth/internal/nixos"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// nixosPlace is where the parts of a container are that a file of
// nixos-container declares; ok is false for others, and for nil.
func (e *Engine) nixosPlace(rec *state.Record) (place nixos.Place, ok bool) {
	if rec == nil {
		return place, false
	}
	path, file := rec.Owner.File()
	if !file {
		return place, false
	}
	return nixos.At(e.Paths, path)
}

// declarative refuses to change what the host's configuration has made.
func declarative(place nixos.Place) error {
	return &container.Error{Subject: string(place.Name), Err: fmt.Errorf("it is declarative: %s comes from the configuration of the host", place.Conf), Code: container.CodeOwned,
		Hint: "change it in the host's configuration.nix, and run nixos-rebuild switch"}
}

// lastWords are what is kept of a container that was destroyed.
type lastWords struct {
	Conf   string              `json:"conf"`
	System container.StorePath `json:"system,omitempty"`
}

// remember keeps what a container was, but nothing that its guest has written,
// for who brings its root directory back from a backup.
func (x Nixos) remember(place nixos.Place) error {
	text, err := os.ReadFile(place.Conf)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	system, _ := place.System()
	file := x.e.Paths.Destroyed(place.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return state.WriteJSON(file, lastWords{string(text), system})
}

// recall gives a container that was destroyed its file and its profile back, if
// its root directory is there again.
func (x Nixos) recall(ctx context.Context, n container.Name) (bool, error) {
	place := nixos.New(x.e.Paths, n)
	if _, err := os.Stat(place.Root); err != nil {
		return false, nil
	}
	var was lastWords
	err := state.ReadJSON(x.e.Paths.Destroyed(n), &was)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, x.locked(ctx, n, func() error {
		all, err := conf.Parse([]byte(was.Conf))
		if err != nil {
			return err
		}
		if was.System != "" {
			if err := place.SetSystem(was.System); err != nil {
				return err
			}
		}
		if err := place.Write(all); err != nil {
			return err
		}
		return state.RemoveFile(x.e.Paths.Destroyed(n))
	})
}

// Destroy removes a container with everything its guest wrote, and its file
// last. One that is not there is none, but what is left of it goes too.
func (x Nixos) Destroy(ctx context.Context, n container.Name) error {
	return x.locked(ctx, n, func() error {
		if err := x.destroy(ctx, n); err != nil {
			return err
		}
		return state.RemoveFile(x.lockFile(n))
	})
}

func (x Nixos) destroy(ctx context.Context, n container.Name) error {
	place, err := nixos.Find(x.e.Paths, n)
	switch {
	case errors.Is(err, container.ErrNotFound):
		if rec, ok := x.other(n); ok {
			return x.notOurs(rec)
		}
		place = nixos.New(x.e.Paths, n)
	case err != nil:
		return err
	case place.Declarative():
		return declarative(place)
	}
	if err := place.Removable(); err != nil {
		return err
	}
	if _, err := x.order(ctx, n, supervise.OrderKill); err != nil {
		return err
	}
	rec, err := x.e.record(n)
	switch {
	case err != nil && !errors.Is(err, container.ErrNotFound): // what cannot be read can be removed
		if err := x.e.Destroy(ctx, n, 0); err != nil {
			return err
		}
	case err == nil && rec.Owner == place.Owner():
		return x.e.Destroy(ctx, n, 0)
	case err == nil && rec.Root == place.Root: // berth set --adopt took it over
		return owned(plan.Observed{Name: n, Owner: rec.Owner})
	}
	if err := x.remember(place); err != nil {
		return err
	}
	return place.Remove()
}

// Adopt makes berth the one that runs a container which nixos-container made.
// Its file, its data and its profile stay what and where they are. One that
// runs is stopped there, and started by berth.
func (x Nixos) Adopt(ctx context.Context, n container.Name) error {
	place, err := x.find(n)
	if err != nil {
		return err
	}
	if rec, ok := x.other(n); ok {
		return x.notOurs(rec)
	}
	unit, o, foreign, err := x.foreign(ctx, n)
	if err != nil {
		return err
	}
	if foreign && place.Declarative() {
		return &container.Error{Subject: string(n), Err: fmt.Errorf("%s of the host's configuration runs it", unit), Code: container.CodeOwned,
			Hint: "the NixOS module of berth takes containers over that the host declares"}
	}
	if err := x.e.prepare(); err != nil {
		return err
	}
	if _, err := x.wish(place); err != nil { // before anything is stopped
		return err
	}
	if foreign && o.State.Alive() {
		if err := x.e.supervisor.(supervise.Others).Order(ctx, unit, supervise.OrderStop); err != nil {
			return err
		}
	}
	if err := x.locked(ctx, n, func() error { return x.follow(ctx, place) }); err != nil || !foreign || !o.State.Alive() {
		return err
	}
	return x.Start(ctx, n)
}

// Release gives a container back: berth stops it, and forgets it. Its file, its
// data and its profile stay as they are.
func (x Nixos) Release(ctx context.Context, n container.Name) error {
	rec, err := x.e.Record(n)
	if err != nil {
		return err
	}
	if _, ok := x.e.nixosPlace(rec); !ok || rec.Root == "" {
		return &container.Error{Subject: string(n), Err: errors.New("it is not of nixos-container: there is nobody to give it back to")}
	}
	return x.locked(ctx, n, func() error { return x.e.release(ctx, n) })
}

// Notes are what its owner should know of a container before berth runs it.
func (x Nixos) Notes(n container.Name) ([]string, error) {
	place, err := x.find(n)
	if err != nil {
		return nil, err
	}
	if place.Conf == "" {
		return nil, nil
	}
	d, err := place.Declared()
	if err != nil {
		return nil, err
	}
	var notes []string
	if place.UsesNix() && !d.Spec.WholeStore() && d.Spec.NixInGuest == container.NixNone {
		notes = append(notes, "its guest has worked with Nix itself, and will see nothing of the store but its system: with NIX_IN_GUEST=daemon in "+place.Conf+" it sees all of it, and works with the host's Nix as before; with own it has one of its own")
	}
	if d.Spec.PrivateUsers.Mode == container.UsersNo {
		notes = append(notes, "root in the guest is root on the host, as before: PRIVATE_USERS=pick in "+place.Conf+" changes that, and no file")
	}
	if _, err := os.Lstat(place.Root); err != nil {
		notes = append(notes, place.Root+" is not there: it starts with an empty root")
	}
	return notes, nil
}
