package closure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix/store"
)

// Own is berth's own store, and another one for what that does not have.
type Own struct {
	Store *store.Store
	Other Source
}

// Closure implements Source.
func (o Own) Closure(ctx context.Context, p container.StorePath) (Closure, error) {
	if !o.Store.Has(p) {
		return o.Other.Closure(ctx, p)
	}
	paths, err := o.Store.Closure(p)
	if err != nil {
		return Closure{}, fmt.Errorf("system: %w", err)
	}
	return Closure{System: p, Dir: filepath.Dir(o.Store.Dir(p)), Paths: paths}, nil
}

// Keep implements Source. Who collects garbage in berth's own store asks
// containers' records what they need; the link is for people.
func (o Own) Keep(ctx context.Context, p container.StorePath, link string) error {
	if !o.Store.Has(p) {
		return o.Other.Keep(ctx, p, link)
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(o.Store.Dir(p), link)
}

// Registration implements Source.
func (o Own) Registration(ctx context.Context, c Closure) ([]byte, error) {
	if !o.Store.Has(c.System) {
		return o.Other.Registration(ctx, c)
	}
	infos, err := o.Store.Infos(c.System)
	if err != nil {
		return nil, fmt.Errorf("system: %w", err)
	}
	var b bytes.Buffer
	for _, i := range infos {
		if err := i.WriteRegistration(&b); err != nil {
			return nil, fmt.Errorf("system: %w", err)
		}
	}
	return b.Bytes(), nil
}

// Sizes implements Sizer.
func (o Own) Sizes(ctx context.Context, closures ...Closure) ([]int64, error) {
	sizes := make([]int64, len(closures))
	var others []Closure
	var places []int
	for i, c := range closures {
		if !o.Store.Has(c.System) {
			others, places = append(others, c), append(places, i)
			continue
		}
		infos, err := o.Store.Infos(c.System)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			sizes[i] += info.NarSize
		}
	}
	other, ok := o.Other.(Sizer)
	if !ok || len(others) == 0 {
		return sizes, nil
	}
	theirs, err := other.Sizes(ctx, others...)
	for i, size := range theirs {
		sizes[places[i]] = size
	}
	return sizes, err
}
