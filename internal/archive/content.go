package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// holeSize is the unit in which zeros become holes: a block of most file
// systems.
const holeSize = 4 << 10

// content copies size bytes into the new file f and leaves holes where the
// zeros are.
func (x *extractor) content(ctx context.Context, f *os.File, r io.Reader, size int64) error {
	end := int64(0) // of the data written
	for off := int64(0); off < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b := x.buf[:min(int64(len(x.buf)), size-off)]
		if _, err := io.ReadFull(r, b); err != nil {
			return contentError(off, size, err)
		}
		wrote, err := x.writeData(f, b, off)
		if err != nil {
			return err
		}
		if wrote > 0 {
			end = wrote
		}
		off += int64(len(b))
		x.progress(int64(len(b)))
	}
	if end == size {
		return nil
	}
	return cause(f.Truncate(size))
}

// writeData writes the parts of b, whose place is off, that are not zero. It
// returns where the last of them ends, 0 if there is none.
func (x *extractor) writeData(f *os.File, b []byte, off int64) (end int64, err error) {
	for i := 0; i < len(b); {
		start := i
		for i < len(b) && !allZero(b[i:min(i+holeSize, len(b))]) {
			i = min(i+holeSize, len(b))
		}
		if i > start {
			if err := x.writeRun(f, b[start:i], off+int64(start)); err != nil {
				return 0, err
			}
			end = off + int64(i)
		}
		i += holeSize
	}
	return end, nil
}

func (x *extractor) writeRun(f *os.File, b []byte, off int64) error {
	if err := x.space.spend(int64(len(b))); err != nil {
		return err
	}
	_, err := f.WriteAt(b, off)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrSpace, cause(err))
	}
	return cause(err)
}

func contentError(off, size int64, err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("content of %d bytes is %w", size, ErrTruncated)
	}
	return fmt.Errorf("read content at byte %d: %w", off, err)
}

// progress tells of n more bytes of content, about once a MiB.
func (x *extractor) progress(n int64) {
	x.stats.Bytes += n
	if x.opts.Progress != nil && x.stats.Bytes-x.told >= 1<<20 {
		x.told = x.stats.Bytes
		x.opts.Progress(x.told)
	}
}

// allZero compares b with itself, one byte further on.
func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}
