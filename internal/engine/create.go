package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"crypto/rand"
	"encoding/hex"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/journal"
	"github.com/berth-containers/berth/internal/nixos"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// create makes a container that is not there. Its lock is held.
func (e *Engine) create(ctx context.Context, w Wish, c plan.Wanted) error {
	if err := supported(c.Name, c.Spec); err != nil {
		return err
	}
	rec := state.Record{Name: c.Name, Owner: c.Owner, System: c.System, Flake: c.Flake, Generation: 1, Spec: c.Spec, Root: cmp.Or(c.Root, c.Spec.Root)}
	if c.System == "" {
		img, err := w.images.Get(ctx, c.Spec.Image)
		if err != nil {
			return err
		}
		rec.Digest = img.Digest
		return e.createFrom(ctx, rec)
	}
	err := e.takeSystem(ctx, c.Name, c.Spec, c.System)
	if err == nil {
		err = makeRoot(c.Spec)
	}
	if err == nil {
		err = e.createFrom(ctx, rec)
	}
	if err == nil && c.Spec.Root != "" {
		err = e.useOwners(nixos.Place{Name: c.Name, Root: c.Spec.Root}, "set privateUsers to that number")
	}
	if err != nil {
		return errors.Join(err, e.closures.Forget(c.Name))
	}
	return nil
}

// createFrom makes the container of a record that says what it is made from.
func (e *Engine) createFrom(ctx context.Context, rec state.Record) error {
	return e.allocating(ctx, func() error {
		if err := e.origin(&rec); err != nil { // pruned since
			return err
		}
		records, err := e.allRecords()
		if err != nil {
			return err
		}
		base, err := e.allocateIDs(rec.Name, records)
		if err != nil {
			return err
		}
		rec.Created, rec.MachineID, rec.UIDBase = time.Now().UTC().Truncate(time.Second), machineID(rec.Root), base
		if rec.Links, err = e.chooseLinks(rec, records); err != nil {
			return err
		}
		return e.place(rec)
	})
}

// place puts a container's directory in its place, complete.
func (e *Engine) place(r state.Record) (err error) {
	staging, err := os.MkdirTemp(e.Paths.Containers(), ".new-"+string(r.Name)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, state.RemoveTree(staging))
		}
	}()
	changes := filepath.Join(staging, state.Changes)
	if err := errors.Join(os.Mkdir(changes, 0o700), rootfs.MakeChanges(changes),
		state.WriteGeneration(staging, newGeneration(&r, max(r.Generation, 1))), state.WriteRecord(staging, r)); err != nil {
		return err
	}
	if err := os.Rename(staging, e.Paths.Container(r.Name)); err != nil {
		return err
	}
	return state.SyncDir(e.Paths.Containers())
}

// machineID is what a root directory that is there already has in
// machine-id(5), so that a container that comes back with its data has the
// hardware addresses of before, which its neighbours remember; or a new one.
func machineID(root string) string {
	if root == "" {
		return newMachineID()
	}
	dir, err := os.Open(root)
	if err != nil {
		return newMachineID() // it is yet to be made
	}
	defer dir.Close()
	return cmp.Or(journal.MachineID(dir), newMachineID())
}

// newMachineID is a random machine-id(5).
func newMachineID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a UUID of version 4, as systemd makes
	return hex.EncodeToString(b[:])
}

// Destroy stops a container and removes it with everything its guest wrote.
// What is bind-mounted into it is not touched.
func (e *Engine) Destroy(ctx context.Context, n container.Name, limit time.Duration) error {
	err := e.locked(ctx, n, func() error {
		rec, err := e.record(n)
		if errors.Is(err, container.ErrNotFound) {
			return notFound(n, err)
		} // one that cannot be read can be removed
		place, declared := e.nixosPlace(rec)
		if declared && place.Declarative() {
			return declarative(place)
		}
		if declared {
			if err := place.Removable(); err != nil {
				return err
			}
			if err := e.Nixos().remember(place); err != nil {
				return err
			}
		}
		return e.destroy(ctx, n, limit)
	})
	return errors.Join(err, e.forgetNetworks(ctx))
}

func (e *Engine) destroy(ctx context.Context, n container.Name, limit time.Duration) error {
	return e.remove(ctx, n, limit, ".trash-")
}

// remove stops a container and removes it, by way of a directory whose name
// says what is to become of the guest's root.
func (e *Engine) remove(ctx context.Context, n container.Name, limit time.Duration, prefix string) error {
	if err := e.supervisor.Stop(ctx, n, limit); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	trash, err := os.MkdirTemp(e.Paths.Containers(), prefix+string(n)+"-")
	if err != nil {
		return err
	}
	if err := os.Rename(e.Paths.Container(n), filepath.Join(trash, "container")); err != nil {
		return errors.Join(err, os.Remove(trash))
	}
	return errors.Join(state.SyncDir(e.Paths.Containers()), e.discard(n, trash), state.RemoveFile(e.Paths.Lock(n)))
}

// discard removes what was kept about a container that is in the trash, and
// the trash last: while that is there, Sweep knows that something is left.
func (e *Engine) discard(n container.Name, trash string) error {
	log := e.Paths.Log(n)
	if err := errors.Join(state.RemoveFile(log), state.RemoveFile(log+".1"), state.RemoveFile(log+".times"), e.supervisor.Forget(n), e.closures.Forget(n), e.removeNixRoot(n), state.RemoveFile(e.Paths.Transition(n))); err != nil {
		return err
	}
	if err := e.removeElsewhere(trash); err != nil {
		return err
	}
	return state.RemoveTree(trash)
}

// makeRoot makes the directory that a spec names for the guest's root.
func makeRoot(s container.Spec) error {
	if s.Root == "" {
		return nil
	}
	return os.MkdirAll(s.Root, 0o755)
}

// removeElsewhere removes what a container in the trash has outside of berth's
// directories: the guest's root, where no declaration names it, and of one that
// nixos-container declares all other parts, its file last. What was only released
// keeps them.
func (e *Engine) removeElsewhere(trash string) error {
	rec, err := state.ReadRecord(filepath.Join(trash, "container"))
	if err != nil || !strings.HasPrefix(filepath.Base(trash), ".trash-") {
		return nil
	}
	if place, ok := e.nixosPlace(rec); ok && !place.Declarative() {
		return place.Remove()
	}
	if rec.Root == "" || rec.Root == rec.Spec.Root {
		return nil
	}
	return state.RemoveTree(rec.Root)
}

// release forgets a container and leaves its guest's root where it is, which is
// not among what berth keeps.
func (e *Engine) release(ctx context.Context, n container.Name) error {
	return e.locked(ctx, n, func() error { return e.remove(ctx, n, StopLimit, ".released-") })
}
