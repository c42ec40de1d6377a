package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/ingress"
	"github.com/berth-containers/berth/internal/network/names"
	"github.com/berth-containers/berth/internal/state"
)

// Sweep removes what commands that were killed left behind, and says what. It
// touches nothing that a living command works on. What such a command did not
// come to start, it starts, and rules of networks that somebody has removed it
// makes anew.
func (e *Engine) Sweep(ctx context.Context) ([]string, error) {
	var done []string
	var errs []error
	for _, l := range e.leftovers() {
		removed, err := l.remove(ctx)
		if removed {
			done = append(done, l.what)
		}
		errs = append(errs, err)
	}
	_, err := network.Mend(ctx, e.Paths)
	_, renewErr := network.Renew(ctx, e.Paths)
	errs = append(errs, err, renewErr)
	images, err := e.Images.Sweep(ctx)
	store, nixErr := e.Nix.Sweep()
	errs = append(errs, err, nixErr, e.supervisor.RestoreSettings(), e.supervisor.Serve(ctx))
	return slices.Concat(done, images, store), errors.Join(errs...)
}

// leftover is something that nobody owns any more, unless somebody is just
// making it: remove finds out.
type leftover struct {
	what   string
	remove func(context.Context) (bool, error)
}

func (e *Engine) leftovers() []leftover {
	return slices.Concat(e.directories(), e.runtimes(), e.systemsLeft(), e.nixRootsLeft(), e.builtLeft(), e.pulledLeft(), e.transitions(), e.served(), e.halves())
}

// transitions are updates that were killed.
func (e *Engine) transitions() []leftover {
	var out []leftover
	for _, n := range e.Paths.InTransition() {
		if state.Held(e.Paths.Lock(n)) {
			continue
		}
		out = append(out, leftover{what: fmt.Sprintf("an interrupted update of %s", n), remove: func(ctx context.Context) (bool, error) {
			return e.unlessLocked(e.Paths.Lock(n), func() error { return e.mend(ctx, n) })
		}})
	}
	return out
}

// served is what processes for names and ingress left that nobody needs any
// more.
func (e *Engine) served() []leftover {
	var out []leftover
	for _, p := range []struct {
		leftovers func(state.Paths, cgroup.Hierarchies) string
		sweep     func(state.Paths, cgroup.Hierarchies) (bool, error)
	}{{names.Leftovers, names.Sweep}, {ingress.Leftovers, ingress.Sweep}} {
		if what := p.leftovers(e.Paths, e.cgroups); what != "" {
			out = append(out, leftover{what: what, remove: func(context.Context) (bool, error) { return p.sweep(e.Paths, e.cgroups) }})
		}
	}
	return out
}

// halves are files of which a process that was killed has written a part. Those
// among what is kept of one container go with that.
func (e *Engine) halves() []leftover {
	p, files := e.Paths, e.Nix.Halves()
	for _, dir := range []string{p.Runtime(), p.Sieves(), p.Ingress(), filepath.Dir(p.IngressStatus()), p.AllDestroyed()} {
		files = append(files, state.Halves(dir)...)
	}
	var out []leftover
	for _, file := range files {
		out = append(out, leftover{what: file, remove: func(context.Context) (bool, error) { return true, state.RemoveFile(file) }})
	}
	return out
}

// directories are containers half made and half removed.
func (e *Engine) directories() []leftover {
	dirs, _ := e.Paths.Leftovers()
	var out []leftover
	for _, d := range dirs {
		n := nameOf(filepath.Base(d))
		out = append(out, leftover{what: d, remove: func(context.Context) (bool, error) {
			return e.unlessLocked(e.Paths.Lock(n), func() error {
				if e.orphan(n) {
					return e.discard(n, d)
				}
				return state.RemoveTree(d)
			})
		}})
	}
	return out
}

// nameOf is the container's name in ".new-NAME-NUMBER" or ".trash-NAME-NUMBER".
func nameOf(dir string) container.Name {
	_, rest, _ := strings.Cut(strings.TrimPrefix(dir, "."), "-")
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		rest = rest[:i]
	}
	return container.Name(rest)
}

// runtimes are cgroups, runtime directories and networks of containers that do
// not run.
func (e *Engine) runtimes() []leftover {
	kept, _ := e.supervisor.Kept()
	leased, _ := network.Leased(e.Paths)
	kept = append(kept, leased...)
	slices.Sort(kept)
	kept = slices.Compact(kept)
	var out []leftover
	for _, n := range kept {
		if obs, err := e.supervisor.Observe(n); err != nil || obs.State.Alive() && !e.orphan(n) {
			continue
		}
		out = append(out, leftover{what: fmt.Sprintf("the cgroup, the runtime directory and the network of %s", n), remove: func(ctx context.Context) (bool, error) {
			return e.unlessLocked(e.Paths.Lock(n), func() error { return e.stopLeftover(ctx, n) })
		}})
	}
	return out
}

// stopLeftover removes what is left of a container, whose lock is held. It may
// have been started since it was looked at.
func (e *Engine) stopLeftover(ctx context.Context, n container.Name) error {
	if obs, err := e.supervisor.Observe(n); err != nil || obs.State.Alive() && !e.orphan(n) {
		return err
	}
	return e.supervisor.Stop(ctx, n, StopLimit)
}

// orphan reports whether what there is of a container has no container.
func (e *Engine) orphan(n container.Name) bool {
	_, err := os.Lstat(e.Paths.Container(n))
	return errors.Is(err, os.ErrNotExist)
}

// unlessLocked calls f with a lock, or does nothing if somebody holds it.
func (e *Engine) unlessLocked(path string, f func() error) (bool, error) {
	lock, err := state.TryLock(path)
	if errors.Is(err, state.ErrLocked) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, errors.Join(f(), lock.Unlock())
}
