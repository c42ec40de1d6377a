// Package transport brings closures from binary caches into the store, and
// from the store into caches. It decides what is missing, whose word is
// enough, and what comes first; the rooms below do the rest.
package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
	"github.com/berth-containers/berth/internal/nix/store"
)

// PullOptions say what Pull is to do. The zero value trusts nobody.
type PullOptions struct {
	Keys   nix.Keys            // whose signatures count
	Name   string              // under which the paths stay; may be empty
	Jobs   int                 // archives that are fetched at a time; 0: as the machine has processors
	Events container.EventFunc // may be nil
}

// Pulled is what Pull brought.
type Pulled struct {
	Paths   []nix.StorePath `json:"paths"`   // those that were asked for, in that order
	Fetched int             `json:"fetched"` // store paths that came from the cache
	Bytes   int64           `json:"bytes"`   // of their archives, not compressed
}

// Pull brings store paths, or those with the hashes that are named, with their
// closures into the store. What was there is not fetched again; what came
// before an error stays. Errors have a hint.
func Pull(ctx context.Context, s *store.Store, c *cache.Cache, names []string, o PullOptions) (out Pulled, err error) {
	wanted, err := parseNames(names)
	if err == nil && o.Name != "" {
		err = store.CheckName(o.Name)
	}
	if err != nil {
		return out, err
	}
	p := &pull{s: s, c: c, o: o, subject: strings.Join(names, " ")}
	if len(names) > 1 {
		p.subject = fmt.Sprintf("%d store paths", len(names))
	}
	w, err := s.Begin(ctx, func() { p.tell("waiting for another berth that changes the store", 0, 0) })
	if err != nil {
		return out, err
	}
	defer func() {
		err = errors.Join(err, w.Finish())
		o.Events.Send(container.Event{Subject: p.subject, Phase: "pulling", Ended: true})
	}()
	missing, err := p.survey(ctx, wanted)
	if err != nil {
		return out, err
	}
	if err := p.fetchAll(ctx, w, missing); err != nil {
		return out, err
	}
	for _, n := range missing {
		out.Fetched++
		out.Bytes += n.NarSize
	}
	out.Paths, err = p.keep(w, wanted, missing)
	return out, err
}

// name is a store path that somebody wants; path is empty where only its hash
// was given.
type name struct {
	hash string
	path nix.StorePath
}

func parseNames(texts []string) ([]name, error) {
	var out []name
	for _, t := range texts {
		if hash, err := nix.ParseHash(t); err == nil {
			out = append(out, name{hash: hash})
			continue
		}
		p, err := nix.ParsePath(t)
		if err != nil {
			return nil, &container.Error{Err: err, Code: container.CodeUsage, Hint: "give a whole store path, or its hash of 32 characters"}
		}
		out = append(out, name{p.Hash(), p})
	}
	return out, nil
}

type pull struct {
	s       *store.Store
	c       *cache.Cache
	o       PullOptions
	subject string

	mu    sync.Mutex
	done  int64 // bytes
	total int64
}

func (p *pull) tell(phase string, done, total int64) {
	p.o.Events.Send(container.Event{Subject: p.subject, Phase: phase, Done: done, Total: total})
}

// keep makes sure that what was asked for is there, and gives it its name.
func (p *pull) keep(w *store.Writer, wanted []name, fetched []nix.NarInfo) ([]nix.StorePath, error) {
	byHash := map[string]nix.StorePath{}
	for _, n := range fetched {
		byHash[n.Path.Hash()] = n.Path
	}
	var paths []nix.StorePath
	for _, n := range wanted {
		path, ok := byHash[n.hash]
		if !ok {
			var err error
			if path, err = p.s.Find(n.hash); err != nil {
				return nil, err
			}
		}
		paths = append(paths, path)
	}
	if p.o.Name == "" {
		return paths, nil
	}
	return paths, w.Keep(store.Root{Name: p.o.Name, Paths: paths})
}

// fetchAll adds all paths to the store, references first, several at a time.
func (p *pull) fetchAll(ctx context.Context, w *store.Writer, missing []nix.NarInfo) error {
	if len(missing) == 0 {
		return nil
	}
	for _, n := range missing {
		p.total += n.NarSize
	}
	if err := p.s.Room(p.total); err != nil {
		return err
	}
	jobs := p.o.Jobs
	if jobs <= 0 {
		jobs = max(4, runtime.NumCPU())
	}
	return each(ctx, jobs, len(missing), func(ctx context.Context, i int) error { return p.fetch(ctx, w, missing[i]) })
}

func (p *pull) fetch(ctx context.Context, w *store.Writer, n nix.NarInfo) (err error) {
	r, err := p.c.Archive(ctx, n)
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	return w.Add(n.Info, &counted{ctx: ctx, r: r, p: p})
}

// counted tells how far a pull has come.
type counted struct {
	ctx context.Context
	r   io.Reader
	p   *pull
}

func (c *counted) Read(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.done += int64(n)
	c.p.tell("pulling", c.p.done, c.p.total)
	return n, err
}

// each calls f for the numbers below count in their order, up to most at a
// time. The first error stops it, and so does the end of ctx, whose cause is
// then the error.
func each(ctx context.Context, most, count int, f func(context.Context, int) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(most)
	for i := range count {
		if inner.Err() != nil {
			break
		}
		group.Go(func() error { return f(inner, i) })
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
