package image

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Remove removes an image and the references to it, whether a container uses
// it or not. The error for one that is not there matches ErrNotFound.
func (s *Store) Remove(ctx context.Context, d container.Digest) error {
	d, err := container.ParseDigest(string(d)) // an empty one would name the directory of all images
	if err == nil {
		err = s.remove(ctx, d)
	}
	if err != nil {
		return &container.Error{Op: "remove image", Subject: d.Short(), Err: err}
	}
	return nil
}

// remove takes the image out of sight by one rename, and then apart.
func (s *Store) remove(ctx context.Context, d container.Digest) (err error) {
	l, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	err = s.changeRefs(func(refs map[string]refRecord) {
		maps.DeleteFunc(refs, func(_ string, r refRecord) bool { return r.Digest == d })
	})
	if err != nil {
		return err
	}
	grave, err := os.MkdirTemp(s.staging(), "remove-")
	if err != nil {
		return err
	}
	err = os.Rename(s.image(d), filepath.Join(grave, "image"))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err == nil {
		err = state.SyncDir(s.images())
	}
	return errors.Join(err, state.RemoveTree(grave))
}

// Prune removes the images that are not in use, with their references, and
// returns them.
func (s *Store) Prune(ctx context.Context, inUse func(container.Digest) bool) ([]Image, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	var gone []Image
	for _, img := range list {
		if inUse(img.Digest) {
			continue
		}
		if ctx.Err() != nil {
			return gone, context.Cause(ctx)
		}
		if err := s.Remove(ctx, img.Digest); err != nil {
			return gone, err
		}
		gone = append(gone, img)
	}
	return gone, nil
}
