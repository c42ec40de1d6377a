package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// WriteOptions say how Write makes a stream. The zero value keeps the owners.
type WriteOptions struct {
	Owner    *Owner           // owns everything, instead of the files' owners
	Progress func(done int64) // as in Options
}

// Write writes the tree below root to w as a tar stream in the PAX format,
// "./" first, each directory before its content, sorted by the bytes of the
// names, with numeric owners and times in whole seconds: the same tree gives
// the same bytes. Names of one inode become hard links. Links are not
// followed, and a directory on which something is mounted is empty in the
// stream; a file that is mounted, a device node and a socket are left out and
// counted in Skipped. A file that shrinks while it is read is an error.
func Write(ctx context.Context, w io.Writer, root *os.Root, opts WriteOptions) (Stats, error) {
	out := &writer{
		tw:    tar.NewWriter(w),
		opts:  opts,
		links: make(map[inode]string),
		buf:   make([]byte, 256<<10),
	}
	err := walk(ctx, root, func(n *node) error {
		if err := out.node(ctx, n); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%q: %w", clip(n.name), err)
		}
		return nil
	})
	if err != nil {
		return out.stats, err
	}
	return out.stats, out.tw.Close()
}

// writer is one run of Write.
type writer struct {
	tw    *tar.Writer
	opts  WriteOptions
	stats Stats
	links map[inode]string // the first name of each file that has several
	buf   []byte
	told  int64
}

func (w *writer) node(ctx context.Context, n *node) error {
	switch n.kind() {
	case unix.S_IFREG:
		return w.file(ctx, n)
	case unix.S_IFDIR:
		return w.directory(n)
	case unix.S_IFLNK:
		target, err := n.readlink()
		if err != nil {
			return err
		}
		h := w.header(n, tar.TypeSymlink)
		h.Linkname = target
		return w.write(h)
	case unix.S_IFIFO:
		return w.write(w.header(n, tar.TypeFifo))
	default:
		w.stats.Skipped++
		return nil
	}
}

func (w *writer) directory(n *node) error {
	h := w.header(n, tar.TypeDir)
	h.Name += "/"
	f, err := n.open(unix.O_DIRECTORY)
	if err == nil {
		h.PAXRecords, err = fileXattrs(int(f.Fd()))
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, unix.EXDEV) {
		return err
	}
	return w.write(h)
}

func (w *writer) file(ctx context.Context, n *node) (err error) {
	if first, ok := w.links[n.inode()]; ok {
		h := w.header(n, tar.TypeLink)
		h.Linkname = first
		return w.write(h)
	}
	f, err := n.open(0)
	if errors.Is(err, unix.EXDEV) {
		w.stats.Skipped++
		return nil
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := unix.Fstat(int(f.Fd()), &n.stat); err != nil {
		return err
	}
	if n.kind() != unix.S_IFREG {
		return errors.New("changed while it was read")
	}
	if n.stat.Nlink > 1 {
		w.links[n.inode()] = n.name
	}
	h := w.header(n, tar.TypeReg)
	h.Size = n.stat.Size
	if h.PAXRecords, err = fileXattrs(int(f.Fd())); err != nil {
		return err
	}
	if err := w.write(h); err != nil {
		return err
	}
	return w.content(ctx, f, h.Size)
}

func (w *writer) content(ctx context.Context, f *os.File, size int64) error {
	for off := int64(0); off < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b := w.buf[:min(int64(len(w.buf)), size-off)]
		if _, err := io.ReadFull(f, b); err == io.EOF || err == io.ErrUnexpectedEOF {
			return errors.New("became shorter while it was read")
		} else if err != nil {
			return cause(err)
		}
		if _, err := w.tw.Write(b); err != nil {
			return err
		}
		off += int64(len(b))
		w.progress(int64(len(b)))
	}
	return nil
}

func (w *writer) progress(n int64) {
	w.stats.Bytes += n
	if w.opts.Progress != nil && w.stats.Bytes-w.told >= 1<<20 {
		w.told = w.stats.Bytes
		w.opts.Progress(w.told)
	}
}

// header describes a node without its size, target and extended attributes.
func (w *writer) header(n *node, kind byte) *tar.Header {
	uid, gid := n.stat.Uid, n.stat.Gid
	if o := w.opts.Owner; o != nil {
		uid, gid = o.UID, o.GID
	}
	return &tar.Header{
		Format:   tar.FormatPAX,
		Typeflag: kind,
		Name:     n.name,
		Mode:     int64(n.stat.Mode & 0o7777),
		Uid:      int(uid),
		Gid:      int(gid),
		ModTime:  time.Unix(n.stat.Mtim.Sec, 0),
	}
}

func (w *writer) write(h *tar.Header) error {
	w.stats.Entries++
	return w.tw.WriteHeader(h)
}
