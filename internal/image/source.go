package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
)

// source is where an image comes from.
type source interface {
	// fingerprint tells cheaply whether the source has changed. The error
	// matches fs.ErrNotExist where it is gone.
	fingerprint(ctx context.Context) (string, error)
	// fill puts the tree into the stage and names it by its content.
	fill(ctx context.Context, st *stage) (container.Digest, error)
}

func (s *Store) source(ref container.ImageRef) source {
	report := reporter{s.opts.Events, ref.String()}
	switch ref.Kind {
	case container.ImageTar:
		xz, err := s.opts.Tool("xz")
		if err != nil {
			xz = "" // the decoder in Go
		}
		return tarSource{ref.Arg, xz, report}
	case container.ImageDir:
		return dirSource{ref.Arg, s.dir, report}
	default:
		return debianSource{suite: ref.Arg, mirror: s.opts.Mirror, tool: s.opts.Tool, report: report}
	}
}

// reporter sends the events of one import.
type reporter struct {
	events  container.EventFunc
	subject string
}

func (r reporter) send(phase string, done, total int64) {
	r.events.Send(container.Event{Subject: r.subject, Phase: phase, Done: done, Total: total})
}

func (r reporter) end(phase string, done int64) {
	r.events.Send(container.Event{Subject: r.subject, Phase: phase, Done: done, Total: done, Ended: true})
}

// Bounds on an image, far beyond any that is of use.
const (
	maxImageBytes   = 256 << 30
	maxImageEntries = 8 << 20
)

// unpack extracts the tar stream r into the stage and names it by its bytes.
func unpack(ctx context.Context, r io.Reader, st *stage) (container.Digest, error) {
	root, err := os.OpenRoot(st.rootfs())
	if err != nil {
		return "", err
	}
	defer root.Close()
	h := sha256.New()
	opts := archive.Options{MaxBytes: maxImageBytes, MaxEntries: maxImageEntries}
	if _, err := archive.Extract(ctx, io.TeeReader(r, h), root, opts); err != nil {
		return "", err
	}
	return digestOf(h), nil
}

func digestOf(h hash.Hash) container.Digest {
	return container.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// tarSource is a tar file of the host. Its digest is that of the stream
// without compression.
type tarSource struct {
	path, xz string
	report   reporter
}

func (t tarSource) fingerprint(context.Context) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(t.path, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: t.path, Err: err}
	}
	return filePrint(&st)
}

func filePrint(st *unix.Stat_t) (string, error) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", errNotFile
	}
	return fmt.Sprintf("%d %d.%09d %d %d", st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Dev, st.Ino), nil
}

func (t tarSource) fill(ctx context.Context, st *stage) (d container.Digest, err error) {
	f, err := os.OpenFile(t.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	before, size, err := openPrint(f)
	if err != nil {
		return "", err
	}
	var done int64
	counted := readerFunc(func(p []byte) (int, error) {
		n, err := f.Read(p)
		done += int64(n)
		t.report.send("unpacking", done, size)
		return n, err
	})
	plain, err := archive.Decompress(ctx, counted, t.xz)
	if err != nil {
		return "", err
	}
	d, err = unpack(ctx, plain, st)
	plain.Close() // only ends what serves the reading
	if err != nil {
		return "", err
	}
	t.report.end("unpacking", size)
	if after, _, err := openPrint(f); err != nil || after != before {
		return "", errChanged
	}
	return d, nil
}

func openPrint(f *os.File) (print string, size int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", 0, err
	}
	print, err = filePrint(&st)
	return print, st.Size, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// dirSource is a directory of the host. Its digest is that of the stream that
// archive.Write makes of it.
type dirSource struct {
	path, store string
	report      reporter
}

func (d dirSource) fingerprint(ctx context.Context) (string, error) {
	root, err := d.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	return archive.Fingerprint(ctx, root)
}

// open refuses a directory that holds the store, which would grow by its own
// content for ever.
func (d dirSource) open() (*os.Root, error) {
	path, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return nil, err
	}
	if store, err := filepath.EvalSymlinks(d.store); err == nil {
		if rel, err := filepath.Rel(path, store); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return nil, errHoldsStore
		}
	}
	return os.OpenRoot(path)
}

func (d dirSource) fill(ctx context.Context, st *stage) (container.Digest, error) {
	root, err := d.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	var writing sync.WaitGroup
	defer writing.Wait()
	r, w := io.Pipe()
	defer r.Close()
	writing.Go(func() {
		_, err := archive.Write(ctx, w, root, archive.WriteOptions{
			Progress: func(n int64) { d.report.send("copying", n, 0) },
		})
		w.CloseWithError(err)
	})
	digest, err := unpack(ctx, r, st)
	if err != nil {
		return "", err
	}
	d.report.end("copying", 0)
	return digest, nil
}
