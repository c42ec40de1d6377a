package image

import (
	"context"
	"sync"

	"github.com/berth-containers/berth/container"
)

// Once is a store for one piece of work on many containers: it looks at the
// source of each reference once, which takes a walk through all of a directory,
// and imports it once, however many of the containers name it.
type Once struct {
	store *Store
	mu    sync.Mutex
	refs  map[container.ImageRef]*reference
}

// Once gives the store to a piece of work that begins now.
func (s *Store) Once() *Once { return &Once{store: s, refs: map[container.ImageRef]*reference{}} }

// reference is what is known of one. It is locked while it is asked for.
type reference struct {
	sync.Mutex
	looked, got     bool
	found           Image
	current         bool
	lookErr, getErr error
}

func (o *Once) reference(ref container.ImageRef) *reference {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refs[ref] == nil {
		o.refs[ref] = &reference{}
	}
	return o.refs[ref]
}

// Lookup is Store.Lookup as of the first time, or since Get what that gave.
func (o *Once) Lookup(ctx context.Context, ref container.ImageRef) (Image, bool, error) {
	r := o.reference(ref)
	r.Lock()
	defer r.Unlock()
	if !r.looked {
		r.looked = true
		r.found, r.current, r.lookErr = o.store.Lookup(ctx, ref)
	}
	return r.found, r.current, r.lookErr
}

// Get is Store.Get as of the first time, and fails as that did.
func (o *Once) Get(ctx context.Context, ref container.ImageRef) (Image, error) {
	r := o.reference(ref)
	r.Lock()
	defer r.Unlock()
	if !r.got && !r.current {
		r.got = true
		if img, err := o.store.Get(ctx, ref); err != nil {
			r.getErr = err
		} else {
			r.looked, r.found, r.current, r.lookErr = true, img, true, nil
		}
	}
	if r.getErr != nil {
		return Image{}, r.getErr
	}
	return r.found, nil
}
