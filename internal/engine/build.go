package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
	"github.com/berth-containers/berth/internal/nix/build"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// isBuilt reports whether the host's Nix makes the system of a spec.
func isBuilt(s container.Spec) bool {
	return s.Flake != "" || s.Config != "" || s.ConfigFile != "" || isDerivation(s)
}

// isMade reports whether the system of a spec is there only once it was built
// or pulled.
func isMade(s container.Spec) bool { return isBuilt(s) || container.IsCachedSystem(s.System) }

func isDerivation(s container.Spec) bool {
	_, err := container.ParseStorePath(s.System)
	return err == nil && strings.HasSuffix(s.System, ".drv")
}

// build has Nix build, all at once, what the containers of w are to boot. It
// evaluates nothing for containers that keep what they have, or that w may not
// change anyway.
func (e *Engine) build(ctx context.Context, w Wish) (Wish, error) {
	w.Containers = slices.Clone(w.Containers)
	var some []int
	for i := range w.Containers {
		c := &w.Containers[i]
		if !isBuilt(c.Spec) || c.System != "" {
			continue
		}
		o, rec, err := e.observed(c.Name)
		switch {
		case err != nil, o != nil && o.Owner != c.Owner && !w.Adopt: // planOne tells
		case o != nil && w.KeepImages && o.System != "" && sourceOf(rec.Name, rec.Owner, rec.Spec) == sourceOf(c.Name, rec.Owner, c.Spec):
			c.System, c.Flake = o.System, rec.Flake
		default:
			some = append(some, i)
		}
	}
	if len(some) == 0 {
		return w, nil
	}
	flags, err := build.ParseFlags(w.NixFlags)
	if err != nil {
		return w, err
	}
	p, err := e.workplace()
	if err != nil {
		return w, err
	}
	var sources []build.Source
	for _, i := range some {
		sources = append(sources, sourceOf(w.Containers[i].Name, w.Containers[i].Owner, w.Containers[i].Spec))
	}
	made, err := build.Builder{Flags: flags, Events: e.Events, Roots: p.dir}.Build(ctx, sources)
	if err != nil {
		return w, err
	}
	for n, i := range some {
		settle(&w.Containers[i], made[n].System, made[n].Flake)
	}
	return w, nil
}

// sourceOf is what a container's system is built from.
func sourceOf(n container.Name, owner container.Owner, s container.Spec) build.Source {
	b := build.Source{Name: n, Flake: s.Flake, Config: s.Config, ConfigFile: s.ConfigFile, Nixpkgs: s.Nixpkgs, NixOSPath: s.NixOSPath}
	if file, ok := owner.File(); ok {
		b.Dir = filepath.Dir(file)
	}
	if isDerivation(s) {
		b.Derivation = s.System
	}
	return b
}

// settle notes what was built for c.
func settle(c *plan.Wanted, system container.StorePath, flake string) {
	c.System, c.Flake = system, flake
	if isDerivation(c.Spec) {
		c.Spec.System = string(system)
	}
}

// asAgreed is w with the systems of a plan that was made for it.
func asAgreed(w Wish, p container.Plan) Wish {
	w.Containers = slices.Clone(w.Containers)
	for i := range w.Containers {
		c := &w.Containers[i]
		if !isMade(c.Spec) || c.System != "" {
			continue
		}
		if n := slices.IndexFunc(p.Steps, func(s container.Step) bool { return s.Name == c.Name }); n >= 0 && p.Steps[n].System != "" {
			settle(c, p.Steps[n].System, p.Steps[n].Flake)
		}
	}
	return w
}

// workplace is of one command that builds or pulls: what it has made is not
// collected before the containers that it is for have it. The host's Nix has
// its roots in the directory, and berth's own store knows them as pulled.
type workplace struct {
	dir    string
	pulled []string
	lock   *state.Lock
}

// workplace makes one. It lasts until Close, and otherwise until a
// command after this one sweeps.
func (e *Engine) workplace() (*workplace, error) {
	name := strings.ToLower(rand.Text())
	lock, err := state.TryLock(e.Paths.BuildLock(name))
	if err != nil {
		return nil, err
	}
	p := &workplace{dir: filepath.Join(e.Paths.Builds(), name), lock: lock}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return p, errors.Join(err, lock.Unlock())
	}
	e.built = append(e.built, p)
	return p, nil
}

// Close gives up the workplaces of this engine. What stays behind is for a
// sweep.
func (e *Engine) Close() {
	for _, p := range e.built {
		for _, name := range p.pulled {
			_ = e.Nix.RemoveRoot(name)
		}
		_ = os.RemoveAll(p.dir)
		_ = os.Remove(e.Paths.BuildLock(filepath.Base(p.dir)))
		_ = p.lock.Unlock()
	}
	e.built = nil
}

// builtLeft are workplaces of commands that have ended.
func (e *Engine) builtLeft() []leftover {
	entries, _ := os.ReadDir(e.Paths.Builds())
	var out []leftover
	for _, entry := range entries {
		dir, lock := filepath.Join(e.Paths.Builds(), entry.Name()), e.Paths.BuildLock(entry.Name())
		if state.Held(lock) {
			continue
		}
		out = append(out, leftover{what: dir, remove: func(context.Context) (bool, error) {
			return e.unlessLocked(lock, func() error { return errors.Join(os.RemoveAll(dir), state.RemoveFile(lock)) })
		}})
	}
	return out
}

// Evaluate evaluates a declaration in Nix, with flags for Nix. What it builds
// of modules is left to Plan.
func (e *Engine) Evaluate(ctx context.Context, from string, flags []string) (declare.Evaluated, error) {
	f, err := build.ParseFlags(flags)
	if err != nil {
		return declare.Evaluated{}, err
	}
	d, err := build.Builder{Flags: f, Events: e.Events}.Declaration(ctx, from)
	return declare.Evaluated{Tree: d.Tree, File: d.File, Stored: d.Stored, Dir: d.Dir}, err
}
