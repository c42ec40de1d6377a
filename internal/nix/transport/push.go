package transport

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/nix-community/go-nix/pkg/nar"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
	"github.com/berth-containers/berth/internal/nix/store"
)

// PushOptions say how Push works. The zero value is good.
type PushOptions struct {
	Compression string              // "zstd", "xz" or "none"; empty: zstd
	Signer      *nix.Signer         // adds a signature; nil: those that the paths came with have to do
	Events      container.EventFunc // may be nil
}

// Pushed is what Push wrote.
type Pushed struct {
	Written int   `json:"written"` // store paths that the cache did not have
	Bytes   int64 `json:"bytes"`   // of their files there
}

// Push writes the closures of store paths into a cache. Each path comes after
// all that it refers to, so that the cache has whole closures at any moment.
func Push(ctx context.Context, s *store.Store, f *cache.Filler, paths []nix.StorePath, o PushOptions) (out Pushed, err error) {
	infos, err := closure(s, paths)
	if err != nil {
		return out, err
	}
	var done, total int64
	for _, info := range infos {
		total += info.NarSize
	}
	for _, info := range infos {
		o.Events.Send(container.Event{Subject: f.String(), Phase: "pushing", Done: done, Total: total})
		done += info.NarSize
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		if err := o.sign(&info); err != nil {
			return out, err
		}
		n, err := f.Put(info, o.Compression, runtime.NumCPU(), dump(ctx, s, info))
		if err != nil {
			return out, fmt.Errorf("%s: %w", info.Path, err)
		}
		if n > 0 {
			out.Written++
			out.Bytes += n
		}
	}
	o.Events.Send(container.Event{Subject: f.String(), Phase: "pushing", Ended: true})
	return out, nil
}

// sign adds the signature that is asked for.
func (o PushOptions) sign(info *nix.Info) error {
	if o.Signer == nil {
		return nil
	}
	return o.Signer.Sign(info)
}

// dump writes the archive of a path.
func dump(ctx context.Context, s *store.Store, info nix.Info) func(io.Writer) error {
	return func(w io.Writer) error { return nar.DumpPath(&interrupted{ctx, w}, s.Dir(info.Path)) }
}

// closure is what is to be pushed, references first.
func closure(s *store.Store, paths []nix.StorePath) ([]nix.Info, error) {
	list, err := s.Infos(paths...)
	if err != nil {
		return nil, &container.Error{Op: "push", Err: err, Hint: "berth nix ls shows what there is"}
	}
	infos := map[nix.StorePath]nix.Info{}
	for _, i := range list {
		infos[i.Path] = i
	}
	order, err := nix.Order(infos)
	if err != nil {
		return nil, err
	}
	var out []nix.Info
	for _, p := range order {
		out = append(out, infos[p])
	}
	return out, nil
}

// interrupted is a writer that ends with a context.
type interrupted struct {
	ctx context.Context
	w   io.Writer
}

func (i *interrupted) Write(b []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.w.Write(b)
}
