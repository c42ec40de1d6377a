package image

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/berth-containers/berth/container"
)

// Get gives the image of ref, and imports it if the store has none or its
// source has changed. An image whose source is gone stays as it is. While
// another process imports ref, Get waits for it and shares the result. Errors
// are *container.Error with a hint.
func (s *Store) Get(ctx context.Context, ref container.ImageRef) (Image, error) {
	img, current, err := s.lookup(ctx, ref)
	if err == nil && !current {
		img, err = s.importLocked(ctx, ref, func() (Image, bool, error) { return s.lookup(ctx, ref) })
	}
	return img, explain(ref, err)
}

// Lookup gives what the store has for ref without importing anything, the
// zero Image for nothing, and whether Get would return just that. It looks at
// the source but does not read it: a Debian image is never out of date by
// itself, and one whose source is gone counts as current.
func (s *Store) Lookup(ctx context.Context, ref container.ImageRef) (Image, bool, error) {
	img, current, err := s.lookup(ctx, ref)
	return img, current, explain(ref, err)
}

// Import reads the source of ref again, whatever the store has, and gives the
// image. A failed import leaves the store as it was. Where another process
// was importing ref, and the source has not changed since, the result is
// shared.
func (s *Store) Import(ctx context.Context, ref container.ImageRef) (Image, error) {
	asked := time.Now()
	img, err := s.importLocked(ctx, ref, func() (Image, bool, error) {
		refs, err := s.readRefs()
		if err != nil || !refs.Refs[ref.String()].Imported.After(asked) {
			return Image{}, false, err
		}
		return s.lookup(ctx, ref)
	})
	return img, explain(ref, err)
}

func (s *Store) lookup(ctx context.Context, ref container.ImageRef) (Image, bool, error) {
	refs, err := s.readRefs()
	if err != nil {
		return Image{}, false, err
	}
	rec, ok := refs.Refs[ref.String()]
	if !ok {
		return Image{}, false, nil
	}
	img, err := s.load(rec.Digest, refs)
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, false, nil
	} else if err != nil {
		return Image{}, false, err
	}
	now, err := s.source(ref).fingerprint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return img, true, nil
	}
	return img, err == nil && now == rec.Fingerprint, err
}

// importLocked imports ref, unless done says that another import has just
// done it.
func (s *Store) importLocked(ctx context.Context, ref container.ImageRef, done func() (Image, bool, error)) (img Image, err error) {
	l, err := s.lockRef(ctx, ref)
	if err != nil {
		return Image{}, err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if img, ok, err := done(); ok || err != nil {
		return img, err
	}
	return s.importNow(ctx, ref)
}

func (s *Store) importNow(ctx context.Context, ref container.ImageRef) (img Image, err error) {
	src := s.source(ref)
	print, err := src.fingerprint(ctx)
	if err != nil {
		return Image{}, err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer func() { err = errors.Join(err, st.drop()) }()
	digest, err := src.fill(ctx, st)
	if err != nil {
		return Image{}, err
	}
	if err := st.finish(ctx, digest); err != nil {
		return Image{}, err
	}
	if err := s.commit(ctx, st, digest); err != nil {
		return Image{}, err
	}
	rec := refRecord{Digest: digest, Fingerprint: print, Imported: time.Now()}
	if err := s.setRef(ctx, ref, rec); err != nil {
		return Image{}, err
	}
	s.opts.Log.Info("image imported", "ref", ref.String(), "digest", string(digest))
	refs, err := s.readRefs()
	if err != nil {
		return Image{}, err
	}
	return s.load(digest, refs)
}
