package cache

import (
	"bufio"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
)

// Archive gives the archive of a store path, not compressed. Its end is
// io.EOF only where its hash and both sizes are those of n; other errors match
// ErrCorrupt where they are not. The hash of the compressed file is not
// looked at: signatures do not cover it, and the archive's decides.
func (c *Cache) Archive(ctx context.Context, n nix.NarInfo) (io.ReadCloser, error) {
	file, size, err := c.source.open(ctx, n.URL)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, c.damaged(n, fmt.Errorf("%w: it names %s, which is not there", ErrCorrupt, n.URL))
	} else if err != nil {
		return nil, c.unreachable(err)
	}
	if n.FileSize > 0 && size >= 0 && size != n.FileSize {
		return nil, c.damaged(n, errors.Join(wrongSize("the file", size, n.FileSize), file.Close()))
	}
	packed := &checked{r: file, what: "the file", size: n.FileSize, most: mostPacked(n)}
	if n.Compression == "none" {
		packed.size = 0 // the archive's own is checked
	}
	plain, err := c.decompress(ctx, packed, n.Compression)
	if err != nil {
		return nil, c.damaged(n, errors.Join(err, file.Close()))
	}
	nar := &checked{r: plain, what: "the archive", hash: sha256.New(), want: n.NarHash, size: n.NarSize, most: n.NarSize}
	return &narReader{cache: c, info: n, nar: nar, packed: packed, closers: []io.Closer{plain, file}}, nil
}

// mostPacked is how much a compressed file may have where its size is not
// said.
func mostPacked(n nix.NarInfo) int64 {
	if n.FileSize > 0 {
		return n.FileSize
	}
	return n.NarSize + n.NarSize/8 + 1<<20
}

func (c *Cache) decompress(ctx context.Context, r io.Reader, method string) (io.ReadCloser, error) {
	switch method {
	case "none":
		return io.NopCloser(r), nil
	case "xz", "zstd", "gzip":
		return c.packed.Open(ctx, r)
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(bufio.NewReader(r))), nil
	default:
		return nil, fmt.Errorf("its compression %q is not known: xz, zstd, gzip, bzip2 and none are", method)
	}
}

func (c *Cache) damaged(n nix.NarInfo, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &container.Error{Subject: string(n.Path), Err: fmt.Errorf("%s: %w", c.name, err),
		Hint: "the cache is damaged, or somebody has changed what it sent: use another one, or push the path again"}
}

// narReader reads an archive, and the file that it comes from to its end.
type narReader struct {
	cache       *Cache
	info        nix.NarInfo
	nar, packed *checked
	closers     []io.Closer
}

func (r *narReader) Read(b []byte) (int, error) {
	n, err := r.nar.Read(b)
	if err == io.EOF {
		err = r.packed.drain()
	}
	switch {
	case err == nil || err == io.EOF:
	case errors.Is(err, errTransfer):
		err = r.cache.unreachable(err)
	default:
		err = r.cache.damaged(r.info, err)
	}
	return n, err
}

func (r *narReader) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// checked reads a stream, and has at its end an error where that is not the
// one that was promised.
type checked struct {
	r     io.Reader
	what  string
	hash  hash.Hash // nil where there is nothing to compare
	want  string    // with hash
	size  int64     // 0: not promised
	most  int64     // bytes
	count int64
	err   error // of the end
}

// mostAtOnce is how much is read before it is hashed: so little that it is
// still in the processor's cache.
const mostAtOnce = 128 << 10

func (c *checked) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(b[:min(len(b), mostAtOnce)])
	c.count += int64(n)
	if c.hash != nil {
		c.hash.Write(b[:n])
	}
	switch {
	case c.count > c.most:
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrCorrupt, c.what, c.most)
	case err == io.EOF:
		err = c.verdict()
	}
	c.err = err
	return n, err
}

func (c *checked) verdict() error {
	if c.size > 0 && c.count != c.size {
		return wrongSize(c.what, c.count, c.size)
	}
	if c.hash == nil {
		return io.EOF
	}
	if got := nix.FormatHash(c.hash.Sum(nil)); got != c.want {
		return fmt.Errorf("%w: %s has the hash %s, not %s", ErrCorrupt, c.what, got, c.want)
	}
	return io.EOF
}

// drain reads what is left, and gives io.EOF where all was well.
func (c *checked) drain() error {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	return io.EOF
}

func wrongSize(what string, got, want int64) error {
	return fmt.Errorf("%w: %s has %d bytes, not %d", ErrCorrupt, what, got, want)
}
