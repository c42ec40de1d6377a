package image

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
)

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
	var done, told int64
	counted := readerFunc(func(p []byte) (int, error) {
		n, err := f.Read(p)
		if done += int64(n); done-told >= 1<<20 || told == 0 {
			told = done
			t.report.send("unpacking", done, size)
		}
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
