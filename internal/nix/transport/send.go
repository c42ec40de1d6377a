package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/serve"
	"github.com/berth-containers/berth/internal/nix/store"
)

// Send brings the closures of store paths into the store of another host, as
// far as that does not have them, each path after all that it refers to.
func Send(ctx context.Context, s *store.Store, to serve.Destination, paths []nix.StorePath, o PushOptions) (out Pushed, err error) {
	infos, err := closure(s, paths)
	if err != nil {
		return out, err
	}
	defer func() { o.Events.Send(container.Event{Subject: to.String(), Phase: "pushing", Ended: true}) }()
	session, err := serve.Connect(ctx, to)
	if err != nil {
		return out, err
	}
	missing, err := lacks(session.Client, infos)
	if err == nil {
		err = sendAll(ctx, s, session.Client, missing, o, to.String())
	}
	if err := session.Close(err); err != nil {
		return out, err
	}
	for _, info := range missing {
		out.Written++
		out.Bytes += info.NarSize
	}
	return out, nil
}

// lacks are those of infos that the other end does not have.
func lacks(c *serve.Client, infos []nix.Info) ([]nix.Info, error) {
	var paths []nix.StorePath
	for _, info := range infos {
		paths = append(paths, info.Path)
	}
	there, err := c.Valid(paths)
	return slices.DeleteFunc(infos, func(info nix.Info) bool { return there[info.Path] }), err
}

// sendAll sends paths, one after the other, and waits for the answers
// meanwhile.
func sendAll(ctx context.Context, s *store.Store, c *serve.Client, missing []nix.Info, o PushOptions, to string) error {
	var done, total int64
	for _, info := range missing {
		total += info.NarSize
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for _, info := range missing {
			o.Events.Send(container.Event{Subject: to, Phase: "pushing", Done: done, Total: total})
			done += info.NarSize
			err := o.sign(&info)
			if err == nil {
				err = c.Add(info, dump(ctx, s, info))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for _, info := range missing {
			if err := c.Added(); err != nil {
				return fmt.Errorf("%s: %w", info.Path, err)
			}
		}
		return nil
	})
	return group.Wait()
}

// Serve gives the store to who speaks on r and w, and takes paths with write.
// They are in sight, and on the disk, when it returns without an error.
func Serve(ctx context.Context, s *store.Store, r io.Reader, w io.Writer, write bool) (err error) {
	v := &served{ctx: ctx, s: s, added: map[nix.StorePath]nix.Info{}}
	err = serve.Serve(r, w, v, write)
	if v.w != nil {
		err = errors.Join(err, v.w.Finish())
	}
	return err
}

// served is a store as others have it. It is locked from the first path that
// somebody brings.
type served struct {
	ctx   context.Context
	s     *store.Store
	w     *store.Writer
	added map[nix.StorePath]nix.Info
	bytes int64
}

func (v *served) Info(p nix.StorePath) (nix.Info, bool, error) {
	if info, ok := v.added[p]; ok {
		return info, true, nil
	}
	info, err := v.s.Info(p)
	if errors.Is(err, store.ErrNotFound) {
		return info, false, nil
	}
	return info, err == nil, err
}

func (v *served) Add(info nix.Info, archive io.Reader) error {
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	for _, r := range info.References {
		if _, there, err := v.Info(r); err != nil {
			return err
		} else if !there && r != info.Path {
			return fmt.Errorf("%s refers to %s: %w", info.Path, r, store.ErrNotFound)
		}
	}
	if v.bytes += info.NarSize; len(v.added) >= maxPaths || v.bytes > maxClosure {
		return fmt.Errorf("%s: too much at a time: %d store paths and %d GiB so far", info.Path, len(v.added), v.bytes>>30)
	}
	if v.w == nil {
		w, err := v.s.Begin(v.ctx, nil)
		if err != nil {
			return err
		}
		v.w = w
	}
	if err := v.s.Room(info.NarSize); err != nil {
		return err
	}
	if err := v.w.Add(info, archive); err != nil {
		return err
	}
	v.added[info.Path] = info
	return nil
}
