package transport

import (
	"context"
	"fmt"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
)

// Bounds on a closure, far beyond any that is of use.
const (
	maxPaths   = 100_000
	maxClosure = 1 << 40 // bytes
	asking     = 32      // questions to a cache at a time
)

// survey finds out what of the closures of wanted is missing: all of it signed,
// references first.
func (p *pull) survey(ctx context.Context, wanted []name) ([]nix.NarInfo, error) {
	v := &survey{pull: p, found: map[nix.StorePath]nix.NarInfo{}, asked: map[string]bool{}}
	level := v.ask(nil, wanted)
	if len(level) > 0 {
		if err := p.c.Check(ctx); err != nil {
			return nil, err
		}
	}
	for len(level) > 0 {
		p.tell("asking the cache", 0, 0)
		answers := make([]nix.NarInfo, len(level))
		err := each(ctx, asking, len(level), func(ctx context.Context, i int) (err error) {
			answers[i], err = p.lookUp(ctx, level[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		level = nil
		for _, n := range answers {
			if err := v.take(n); err != nil {
				return nil, err
			}
			level = v.ask(level, references(n))
		}
	}
	return v.order()
}

func references(n nix.NarInfo) []name {
	var out []name
	for _, r := range n.References {
		out = append(out, name{r.Hash(), r})
	}
	return out
}

// survey is what was found so far.
type survey struct {
	pull  *pull
	found map[nix.StorePath]nix.NarInfo
	asked map[string]bool // by hash
	bytes int64
}

// ask adds to level those of names that are neither there nor asked for.
func (v *survey) ask(level, names []name) []name {
	for _, n := range names {
		if v.asked[n.hash] {
			continue
		}
		if n.path != "" && v.pull.s.Has(n.path) {
			continue
		}
		if n.path == "" {
			if _, err := v.pull.s.Find(n.hash); err == nil {
				continue
			}
		}
		v.asked[n.hash] = true
		level = append(level, n)
	}
	return level
}

// lookUp asks the cache about a path, and checks who vouches for the answer.
func (p *pull) lookUp(ctx context.Context, n name) (nix.NarInfo, error) {
	info, err := p.c.Info(ctx, n.hash)
	if err != nil {
		return info, err
	}
	if n.path != "" && info.Path != n.path {
		return info, &container.Error{Subject: string(n.path), Err: fmt.Errorf("%s: %w: with this hash it has %s", p.c, cache.ErrCorrupt, info.Path),
			Hint: "check the name, or leave it out and give the hash alone"}
	}
	return info, p.o.Keys.Verify(info.Info)
}

func (v *survey) take(n nix.NarInfo) error {
	v.found[n.Path] = n
	v.bytes += n.NarSize
	if len(v.found) > maxPaths || v.bytes > maxClosure {
		return &container.Error{Subject: v.pull.subject, Err: fmt.Errorf("its closure is absurd: %d store paths and %d GiB so far", len(v.found), v.bytes>>30),
			Hint: "use another cache"}
	}
	return nil
}

func (v *survey) order() ([]nix.NarInfo, error) {
	infos := map[nix.StorePath]nix.Info{}
	for p, n := range v.found {
		infos[p] = n.Info
	}
	order, err := nix.Order(infos)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.pull.c, err)
	}
	var out []nix.NarInfo
	for _, p := range order {
		out = append(out, v.found[p])
	}
	return out, nil
}
