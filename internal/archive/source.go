package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// blockSize is that of tar: headers are whole blocks, content is padded to them.
const blockSize = 512

// source reads the stream, counts it, and stops when its context ends.
type source struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (s *source) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	return n, err
}

// nextBlock is where the next header starts, once the content before it has
// been read.
func (s *source) nextBlock() int64 { return (s.n + blockSize - 1) / blockSize * blockSize }

// finish reads what follows the last entry, which ended at end. It has to be
// read: checksums of a compressed stream come last.
func (s *source) finish(end, index int64) error {
	if s.n-end < blockSize {
		if s.n == 0 {
			return fmt.Errorf("%w: it is empty", ErrFormat)
		}
		return fmt.Errorf("entry %d: no end marker: archive is %w", index, ErrTruncated)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := s.Read(buf)
		if !allZero(buf[:n]) {
			return errors.New("the archive goes on after its end marker; several archives in one file are not read")
		}
		switch {
		case err == io.EOF:
			return nil
		case s.ctx.Err() != nil:
			return err
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("end of the compressed data is %w", ErrTruncated)
		case err != nil:
			return fmt.Errorf("read the end of the archive: %w", err)
		}
	}
}
