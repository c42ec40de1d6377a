package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/state"
)

// ImportImage reads an image from its source, even if it is there already.
func (e *Engine) ImportImage(ctx context.Context, r container.ImageRef) (image.Image, error) {
	if err := e.prepare(); err != nil {
		return image.Image{}, err
	}
	return e.Images.Import(ctx, r)
}

// RemoveImage removes an image that no container uses.
func (e *Engine) RemoveImage(ctx context.Context, name string) (img image.Image, err error) {
	err = e.allocating(ctx, func() error {
		if img, err = e.Images.Find(name); err != nil {
			return err
		}
		users, err := e.imageUsers()
		if err != nil {
			return err
		}
		if by := users[img.Digest]; len(by) > 0 {
			return &container.Error{Subject: name, Err: fmt.Errorf("in use by %s", strings.Join(by, ", ")),
				Hint: "destroy these containers first, or have them keep fewer generations"}
		}
		return e.Images.Remove(ctx, img.Digest)
	})
	return img, err
}

// PruneImages removes all images that no container uses.
func (e *Engine) PruneImages(ctx context.Context) (gone []image.Image, err error) {
	err = e.allocating(ctx, func() error {
		users, err := e.imageUsers()
		if err != nil {
			return err
		}
		gone, err = e.Images.Prune(ctx, func(d container.Digest) bool { return len(users[d]) > 0 })
		return err
	})
	return gone, err
}

// imageUsers are the names of the containers by the image they need, those
// that still run with it or have a generation with it included. A container that
// cannot be read might need any.
func (e *Engine) imageUsers() (map[container.Digest][]string, error) {
	names, err := e.Names()
	if err != nil {
		return nil, err
	}
	users := map[container.Digest][]string{}
	for _, n := range names {
		rec, err := e.record(n)
		if err != nil && e.orphan(n) {
			continue // destroyed meanwhile
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", n, err)
		}
		use := func(d container.Digest) {
			if !slices.Contains(users[d], string(n)) {
				users[d] = append(users[d], string(n))
			}
		}
		use(rec.Digest)
		if l, err := e.launched(n); err == nil && l != nil {
			use(l.Digest)
		}
		all, err := state.Generations(e.Paths.Container(n))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n, err)
		}
		for _, g := range all {
			use(g.Digest)
		}
	}
	return users, nil
}
