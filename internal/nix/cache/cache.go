// Package cache reads and fills binary caches of Nix: trees of .narinfo files
// and archives, behind HTTP or in a directory. It checks what it reads against
// what the cache itself says; whether to believe that is for signatures, which
// the caller checks.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
	"github.com/berth-containers/berth/internal/nix"
)

// source gives the files of a cache. A name is a path relative to the cache,
// or absolute as a URL where a .narinfo file has it so.
type source interface {
	// open gives a file, and its size or -1. The error for one that is not
	// there matches fs.ErrNotExist.
	open(ctx context.Context, name string) (io.ReadCloser, int64, error)
}

// Cache is a binary cache.
type Cache struct {
	name   string // as messages have it
	source source
	packed archive.Decompressor
}

// Options say how a Cache works. The zero value is good.
type Options struct {
	XZ string // the program xz, an absolute path; "": the decoder in Go
}

// Open gives the cache that where names: a URL (http, https, file, s3) or an
// absolute path. It reads nothing yet.
func Open(where string, opts Options) (*Cache, error) {
	src, name, err := locate(where)
	if err != nil {
		return nil, &container.Error{Err: err, Code: container.CodeUsage,
			Hint: "write a URL such as https://cache.nixos.org, file:///srv/cache or s3://BUCKET?region=REGION, or the absolute path of a directory"}
	}
	return &Cache{name: name, source: src, packed: archive.Decompressor{XZ: opts.XZ}}, nil
}

func locate(where string) (source, string, error) {
	if filepath.IsAbs(where) {
		return dirSource{filepath.Clean(where)}, where, nil
	}
	u, err := url.Parse(where)
	if err != nil || u.Scheme == "" {
		return nil, "", fmt.Errorf("%q is neither a URL nor an absolute path", where)
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return nil, "", fmt.Errorf("%q does not name a directory; file:///srv/cache would", where)
		}
		return dirSource{filepath.Clean(u.Path)}, "file://" + u.Path, nil
	case "s3":
		if u, err = bucket(u); err != nil {
			return nil, "", err
		}
	case "http", "https":
		u.RawQuery = "" // Nix has settings there, such as ?priority=10
	default:
		return nil, "", fmt.Errorf("%q: caches of the kind %s are not known", where, u.Scheme)
	}
	if u.Host == "" {
		return nil, "", fmt.Errorf("%q names no host", where)
	}
	return newHTTPSource(u), u.Redacted(), nil
}

// bucket is the URL under which S3 gives the files of a bucket that everybody
// may read.
func bucket(u *url.URL) (*url.URL, error) {
	q := u.Query()
	if u.Host == "" {
		return nil, errors.New("s3:// is followed by the name of a bucket")
	}
	out := &url.URL{Scheme: "https", Host: u.Host + ".s3.amazonaws.com", Path: u.Path}
	if region := q.Get("region"); region != "" {
		out.Host = u.Host + ".s3." + region + ".amazonaws.com"
	}
	if s := q.Get("scheme"); s != "" {
		out.Scheme = s
	}
	if e := q.Get("endpoint"); e != "" {
		out.Host, out.Path = e, "/"+u.Host+u.Path
	}
	if out.Scheme != "http" && out.Scheme != "https" {
		return nil, fmt.Errorf("the scheme of an S3 endpoint is http or https, not %q", out.Scheme)
	}
	return out, nil
}

// String is the cache as messages have it, without passwords.
func (c *Cache) String() string { return c.name }

// Errors whose kind callers test for with errors.Is.
var (
	// ErrMissing says that a cache does not have a store path.
	ErrMissing = errors.New("the cache does not have it")
	// ErrCorrupt says that what a cache has is not what it says it has.
	ErrCorrupt = errors.New("the cache has something else than it says")
)

// Check reads what the cache says of itself.
func (c *Cache) Check(ctx context.Context) error {
	r, _, err := c.source.open(ctx, "nix-cache-info")
	if errors.Is(err, fs.ErrNotExist) {
		return &container.Error{Subject: c.name, Err: errors.New("it is no binary cache: it has no file nix-cache-info"), Hint: "check the address"}
	} else if err != nil {
		return c.unreachable(err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return c.unreachable(err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); key == "StoreDir" && value != nix.StoreDir {
			return &container.Error{Subject: c.name, Err: fmt.Errorf("it is for the store %q, not for %s", value, nix.StoreDir), Hint: "use another cache"}
		}
	}
	return nil
}

// unreachable is an error of the cache as a whole.
func (c *Cache) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &container.Error{Subject: c.name, Err: err, Hint: "check that the cache can be reached from this host, and try again: what is there already is not fetched again"}
}

// Info is what the cache says of the store path with a hash; nobody vouches
// for it yet. The error for one that is not there matches ErrMissing.
func (c *Cache) Info(ctx context.Context, hash string) (nix.NarInfo, error) {
	r, _, err := c.source.open(ctx, hash+".narinfo")
	if errors.Is(err, fs.ErrNotExist) {
		return nix.NarInfo{}, &container.Error{Subject: hash, Err: fmt.Errorf("%s: %w", c.name, ErrMissing), Hint: "check the hash, or push the whole closure to the cache"}
	} else if err != nil {
		return nix.NarInfo{}, c.unreachable(err)
	}
	defer r.Close()
	n, err := nix.ParseNarInfo(r)
	if err == nil && n.Path.Hash() != hash {
		err = fmt.Errorf("%w: %s.narinfo is about %s", ErrCorrupt, hash, n.Path)
	}
	if err != nil {
		return nix.NarInfo{}, &container.Error{Subject: hash, Err: fmt.Errorf("%s: %w", c.name, err), Hint: "the cache is damaged: use another one, or push the path again"}
	}
	return n, nil
}
