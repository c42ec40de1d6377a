package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
	"github.com/berth-containers/berth/internal/nix/serve"
	"github.com/berth-containers/berth/internal/nix/store"
	"github.com/berth-containers/berth/internal/nix/transport"
)

// PullOptions say how store paths are pulled.
type PullOptions struct {
	Name string   // under which they stay; may be empty
	Keys []string // trusted besides those of the host's settings
	Jobs int      // archives at a time; 0: as the machine has processors
}

// Pull brings store paths, by path or hash, with their closures from a binary
// cache into berth's own store.
func (e *Engine) Pull(ctx context.Context, from string, names []string, o PullOptions) (transport.Pulled, error) {
	keys, err := e.trusted(o.Keys)
	if err != nil {
		return transport.Pulled{}, err
	}
	xz, err := exec.LookPath("xz")
	if err != nil {
		xz = "" // the decoder in Go
	}
	c, err := cache.Open(from, cache.Options{XZ: xz})
	if err != nil {
		return transport.Pulled{}, err
	}
	return transport.Pull(ctx, e.Nix, c, names, transport.PullOptions{Keys: keys, Name: o.Name, Jobs: o.Jobs, Events: e.Events})
}

// trusted are the keys of the host's settings, or that of cache.nixos.org
// where they name none, and more.
func (e *Engine) trusted(more []string) (nix.Keys, error) {
	s, err := e.Settings()
	if err != nil {
		return nil, err
	}
	texts := s.Nix.TrustedPublicKeys
	if texts == nil {
		texts = []string{nix.NixOSKey}
	}
	keys, err := nix.ParseKeys(slices.Concat(texts, more))
	if err != nil {
		return nil, &container.Error{Err: err, Code: container.CodeUsage, Hint: "the owner of the cache publishes its key"}
	}
	return keys, nil
}

// PushOptions say how store paths are pushed.
type PushOptions struct {
	Compression string // "zstd", "xz" or "none", for caches; empty: zstd
	KeyFile     string // with a secret key that signs them; may be empty
}

// Push writes store paths of berth's own store, by path, hash or the name they
// were pulled under, with their closures into a binary cache in a directory.
func (e *Engine) Push(ctx context.Context, to string, names []string, o PushOptions) (transport.Pushed, error) {
	paths, err := e.storePaths(names)
	if err != nil {
		return transport.Pushed{}, err
	}
	var signer *nix.Signer
	if o.KeyFile != "" {
		text, err := os.ReadFile(o.KeyFile)
		if err == nil {
			signer, err = nix.ParseSigner(string(text))
		}
		if err != nil {
			return transport.Pushed{}, &container.Error{Subject: o.KeyFile, Err: err, Hint: "nix-store --generate-binary-cache-key NAME SECRET PUBLIC makes a pair of keys"}
		}
	}
	if serve.IsDestination(to) {
		host, err := serve.ParseDestination(to)
		if err == nil && o.Compression != "" {
			err = &container.Error{Err: errors.New("a compression is for caches alone"), Code: container.CodeUsage, Hint: "have ssh compress what it sends: " + to + "?compress=true"}
		}
		if err != nil {
			return transport.Pushed{}, err
		}
		return transport.Send(ctx, e.Nix, host, paths, transport.PushOptions{Signer: signer, Events: e.Events})
	}
	f, err := cache.Fill(to)
	if err != nil {
		return transport.Pushed{}, err
	}
	return transport.Push(ctx, e.Nix, f, paths, transport.PushOptions{Compression: o.Compression, Signer: signer, Events: e.Events})
}

// ServeStore gives berth's own store to who speaks the protocol of
// nix-store --serve on r and w, and takes store paths with write.
func (e *Engine) ServeStore(ctx context.Context, r io.Reader, w io.Writer, write bool) error {
	return transport.Serve(ctx, e.Nix, r, w, write)
}

// storePaths are what names mean.
func (e *Engine) storePaths(names []string) ([]nix.StorePath, error) {
	var out []nix.StorePath
	for _, n := range names {
		if p, err := nix.ParsePath(n); err == nil {
			out = append(out, p)
			continue
		}
		if p, err := e.Nix.Find(n); err == nil {
			out = append(out, p)
			continue
		}
		r, err := e.Nix.Root(n)
		if err != nil {
			return nil, &container.Error{Subject: n, Err: errors.New("it is neither a store path, nor the hash of one that is there, nor a name"), Hint: "berth nix ls shows what there is"}
		}
		out = append(out, r.Paths...)
	}
	return out, nil
}

// StoreStatus is a store path in berth's own store.
type StoreStatus struct {
	Path  nix.StorePath `json:"path"`
	Size  int64         `json:"size"`  // bytes of its archive
	Dir   string        `json:"dir"`   // where it lies
	Names []string      `json:"names"` // that keep it by itself, not as a part of something else
}

// StorePaths are all store paths in berth's own store.
func (e *Engine) StorePaths() ([]StoreStatus, error) {
	list, err := e.Nix.List()
	if err != nil {
		return nil, err
	}
	roots, err := e.Nix.Roots()
	if err != nil {
		return nil, err
	}
	names := map[nix.StorePath][]string{}
	for _, r := range roots {
		for _, p := range r.Paths {
			names[p] = append(names[p], r.Name)
		}
	}
	used, err := e.systems()
	if err != nil {
		return nil, err
	}
	for p, by := range used {
		names[p] = append(names[p], by...)
	}
	out := []StoreStatus{}
	for _, i := range list {
		out = append(out, StoreStatus{Path: i.Path, Size: i.NarSize, Dir: e.Nix.Dir(i.Path), Names: append([]string{}, names[i.Path]...)})
	}
	return out, nil
}

// RemoveStoreName forgets a name, so that what it kept can be collected.
func (e *Engine) RemoveStoreName(name string) error { return e.Nix.RemoveRoot(name) }

// CollectStore removes from berth's own store what neither a name nor a
// container needs.
func (e *Engine) CollectStore(ctx context.Context) (c store.Collected, err error) {
	err = e.allocating(ctx, func() error {
		used, err := e.systems()
		if err != nil {
			return err
		}
		var keep []nix.StorePath
		for p := range used {
			keep = append(keep, p)
		}
		c, err = e.Nix.Collect(ctx, keep)
		return err
	})
	return c, err
}

// systems are the containers by the store paths of the systems that they may
// need.
func (e *Engine) systems() (map[nix.StorePath][]string, error) {
	names, err := e.Names()
	if err != nil {
		return nil, err
	}
	out := map[nix.StorePath][]string{}
	for _, n := range names {
		rec, err := e.record(n)
		if errors.Is(err, container.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			continue // destroyed meanwhile
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", n, err)
		}
		all, err := e.systemsOf(rec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n, err)
		}
		for _, p := range all {
			if p != "" && !slices.Contains(out[p], string(n)) {
				out[p] = append(out[p], string(n))
			}
		}
	}
	return out, nil
}
