package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// entry makes what one header describes.
func (x *extractor) entry(ctx context.Context, h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // a comment, such as git-archive(1) writes
	}
	if err := x.count(h); err != nil {
		return err
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	a, err := x.attributes(h)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeChar, tar.TypeBlock:
		x.stats.Entries, x.stats.Skipped = x.stats.Entries-1, x.stats.Skipped+1
		return nil
	case tar.TypeDir:
		return x.directory(name, a)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeLink, tar.TypeSymlink, tar.TypeFifo:
	default:
		return fmt.Errorf("entries of type %q are not known", h.Typeflag)
	}
	if name == "." {
		return errors.New("the top of the archive is not a directory")
	}
	return x.leaf(ctx, h, name, a, body)
}

// leaf makes everything but a directory.
func (x *extractor) leaf(ctx context.Context, h *tar.Header, name string, a attributes, body io.Reader) error {
	if h.Typeflag == tar.TypeLink {
		return x.hardLink(name, h.Linkname)
	}
	dir, err := x.dirs.enter(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	switch h.Typeflag {
	case tar.TypeSymlink:
		return x.symlink(dir.fd(), base, h.Linkname, a)
	case tar.TypeFifo:
		return x.fifo(dir.fd(), base, a)
	default:
		return x.file(ctx, dir.fd(), base, h.Size, a, body)
	}
}

// count holds one more entry against the limits.
func (x *extractor) count(h *tar.Header) error {
	x.stats.Entries++
	if most := x.opts.MaxEntries; most > 0 && x.stats.Entries+x.stats.Skipped > most {
		return fmt.Errorf("archive has %w: %d entries", ErrTooBig, most)
	}
	if h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeGNUSparse {
		if most := x.opts.MaxBytes; most > 0 && h.Size > most-x.stats.Bytes {
			return fmt.Errorf("archive has %w: %d bytes", ErrTooBig, most)
		}
		if h.Size > math.MaxInt64-x.stats.Bytes {
			return fmt.Errorf("archive has %w: its size is not a number", ErrTooBig)
		}
	}
	return x.space.spend(4 << 10)
}

func (x *extractor) directory(name string, a attributes) error {
	if name != "." {
		dir, err := x.dirs.enter(path.Dir(name))
		if err != nil {
			return err
		}
		if err := x.makeDir(dir.fd(), path.Base(name)); err != nil {
			return err
		}
	}
	dir, err := x.dirs.enter(name)
	if err != nil {
		return err
	}
	dir.mtime = a.mtime
	return x.apply(dir.fd(), a)
}

func (x *extractor) makeDir(dir int, base string) error {
	err := unix.Mkdirat(dir, base, 0o700)
	if err != unix.EEXIST {
		return os.NewSyscallError("mkdir", err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return os.NewSyscallError("stat", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil
	}
	return x.replacing(dir, base, "mkdir", func() error { return unix.Mkdirat(dir, base, 0o700) })
}

func (x *extractor) file(ctx context.Context, dir int, base string, size int64, a attributes, body io.Reader) (err error) {
	fd := -1
	err = x.replacing(dir, base, "create", func() (err error) {
		fd, err = retry(func() (int, error) {
			return unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		})
		return err
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := x.content(ctx, f, body, size); err != nil {
		return err
	}
	if err := x.apply(fd, a); err != nil {
		return err
	}
	return setMtime(fd, a.mtime)
}
