package archive

import (
	"errors"
	"fmt"
	"io"
)

// Kinds of errors that callers test for with errors.Is.
var (
	// ErrEscapes says that an entry's name, parent or hard link leads out of
	// the directory.
	ErrEscapes = errors.New("leads out of the directory")
	// ErrTooBig says that the stream holds more than Options allow.
	ErrTooBig = errors.New("more than is allowed")
	// ErrSpace says that the file system is full, or would be nearly so.
	ErrSpace = errors.New("not enough free space")
	// ErrTruncated says that the stream ends too early; it matches
	// io.ErrUnexpectedEOF.
	ErrTruncated = fmt.Errorf("cut short: %w", io.ErrUnexpectedEOF)
	// ErrFormat says that the stream is not what this package reads.
	ErrFormat = errors.New("not a tar archive")
)

// EntryError is an error about one entry of a stream.
type EntryError struct {
	Index int64  // of the entry, from 1
	Name  string // as the stream has it; hostile
	Err   error
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("entry %d %q: %v", e.Index, clip(e.Name), e.Err)
}

// Unwrap gives the cause.
func (e *EntryError) Unwrap() error { return e.Err }

// clip bounds what a message shows of a hostile name.
func clip(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return name[:most] + "..."
}
