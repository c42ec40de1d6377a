package cache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
)

// Filler writes a cache in a directory. Several may write to one at a time:
// files come into sight when they are whole.
type Filler struct{ dir string }

// Fill gives the Filler for a cache that where names: file:// and an absolute
// path, or that path. The directory is made if it is not there.
func Fill(where string) (*Filler, error) {
	src, _, err := locate(where)
	dir, ok := src.(dirSource)
	if err == nil && !ok {
		err = fmt.Errorf("%s: only caches in a directory can be written", where)
	}
	if err != nil {
		return nil, &container.Error{Err: err, Code: container.CodeUsage, Hint: "write file:///srv/cache, and put that directory behind a web server"}
	}
	if err := os.MkdirAll(filepath.Join(dir.path, "nar"), 0o755); err != nil {
		return nil, err
	}
	return &Filler{dir.path}, nil
}

// String is the directory.
func (f *Filler) String() string { return f.dir }

// Put writes a store path, whose archive dump writes, and returns the size of
// the file it made: 0 where the cache had the path.
func (f *Filler) Put(info nix.Info, compression string, threads int, dump func(io.Writer) error) (int64, error) {
	if err := f.begin(); err != nil {
		return 0, err
	}
	file := filepath.Join(f.dir, info.Path.Hash()+".narinfo")
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if compression == "" {
		compression = "zstd"
	}
	n, err := f.archive(info, compression, threads, dump)
	if err != nil {
		return 0, err
	}
	return n.FileSize, write(file, n.Text())
}

// begin makes sure that the directory says that it is a cache.
func (f *Filler) begin() error {
	file := filepath.Join(f.dir, "nix-cache-info")
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return write(file, "StoreDir: "+nix.StoreDir+"\n")
}

// archive writes the archive of a path under the hash of its file.
func (f *Filler) archive(info nix.Info, compression string, threads int, dump func(io.Writer) error) (n nix.NarInfo, err error) {
	tmp, err := newFile(filepath.Join(f.dir, "nar"))
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, tmp.drop()) }()
	packed := &measured{w: tmp, hash: sha256.New()}
	z, suffix, err := compressor(packed, compression, threads)
	if err != nil {
		return n, err
	}
	plain := &measured{w: z, hash: sha256.New()}
	if err := dump(plain); err != nil {
		return n, errors.Join(err, z.Close())
	}
	if err := z.Close(); err != nil {
		return n, err
	}
	if plain.sum() != info.NarHash || plain.count != info.NarSize {
		return n, &container.Error{Err: errors.New("what is in the store is not what came into it: somebody has changed it"), Hint: "remove it (berth nix rm, berth nix gc) and pull it again"}
	}
	base, _ := strings.CutPrefix(packed.sum(), "sha256:")
	n = nix.NarInfo{Info: info, URL: path.Join("nar", base+suffix), Compression: compression, FileHash: packed.sum(), FileSize: packed.count}
	return n, tmp.place(filepath.Join(f.dir, n.URL))
}

// compressor gives a writer for a compression, and what files so compressed
// are called.
func compressor(w io.Writer, compression string, threads int) (io.WriteCloser, string, error) {
	switch compression {
	case "none":
		return nopCloser{w}, ".nar", nil
	case "zstd":
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(threads))
		return z, ".nar.zst", err
	case "xz":
		z, err := xz.NewWriter(w)
		return z, ".nar.xz", err
	default:
		return nil, "", &container.Error{Err: fmt.Errorf("the compression %q is not known", compression), Hint: "use zstd, xz or none", Code: container.CodeUsage}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// measured is a writer that knows what went through.
type measured struct {
	w     io.Writer
	hash  hash.Hash
	count int64
}

func (m *measured) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.hash.Write(b[:n])
	m.count += int64(n)
	return n, err
}

func (m *measured) sum() string { return nix.FormatHash(m.hash.Sum(nil)) }
