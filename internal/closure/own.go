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

// Size implements Sizer.
func (o Own) Size(ctx context.Context, c Closure) (total int64, err error) {
	if !o.Store.Has(c.System) {
		if other, ok := o.Other.(Sizer); ok {
			return other.Size(ctx, c)
		}
		return 0, nil
	}
	infos, err := o.Store.Infos(c.System)
	for _, i := range infos {
		total += i.NarSize
	}
	return total, err
}
