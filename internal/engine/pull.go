package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// pull brings the systems of w that are in binary caches into berth's own
// store. A cache is not asked for what a container has already.
func (e *Engine) pull(ctx context.Context, w Wish) (Wish, error) {
	w.Containers = slices.Clone(w.Containers)
	var p *workplace
	for i := range w.Containers {
		c := &w.Containers[i]
		if !container.IsCachedSystem(c.Spec.System) || c.System != "" {
			continue
		}
		from, err := container.ParseCachedSystem(c.Spec.System)
		if err != nil {
			return w, container.Named(c.Name, fmt.Errorf("system: %w", err))
		}
		o, _, err := e.observed(c.Name)
		switch {
		case err != nil, o != nil && o.Owner != c.Owner && !w.Adopt: // planOne tells
			continue
		case o != nil && from.Is(o.System) && (w.KeepImages || e.Nix.Has(o.System)):
			c.System = o.System
			continue
		}
		if p == nil {
			if p, err = e.workplace(); err != nil {
				return w, err
			}
		}
		if err := e.pullOne(ctx, p, c, from); err != nil {
			return w, container.Named(c.Name, err)
		}
	}
	return w, nil
}

func (e *Engine) pullOne(ctx context.Context, p *workplace, c *plan.Wanted, from container.CachedSystem) error {
	root := fmt.Sprintf("%s%s-%d", pulledPrefix, filepath.Base(p.dir), len(p.pulled))
	p.pulled = append(p.pulled, root)
	got, err := e.Pull(ctx, from.Cache, []string{from.Name}, PullOptions{Name: root})
	if err == nil {
		c.System = got.Paths[0]
	}
	return err
}

// A command gives names in berth's own store to what it has pulled: the prefix,
// that of its workplace, which has so many characters, and a number.
const (
	pulledPrefix  = "pulled-"
	workplaceName = 26
)

// pulledLeft are such names of commands that have ended.
func (e *Engine) pulledLeft() []leftover {
	roots, _ := e.Nix.Roots()
	var out []leftover
	for _, r := range roots {
		rest, ok := strings.CutPrefix(r.Name, pulledPrefix)
		place, _, numbered := strings.Cut(rest, "-")
		lock := e.Paths.BuildLock(place)
		if !ok || !numbered || len(place) != workplaceName || state.Held(lock) {
			continue
		}
		out = append(out, leftover{what: "the name " + r.Name + " of store paths", remove: func(context.Context) (bool, error) {
			return e.unlessLocked(lock, func() error { return errors.Join(e.Nix.RemoveRoot(r.Name), state.RemoveFile(lock)) })
		}})
	}
	return out
}
