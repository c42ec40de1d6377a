package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Options say how Extract treats a stream. The zero value keeps the owners of
// the archive and knows no limit but the file system's.
type Options struct {
	MaxBytes   int64  // apparent size of all files together; 0: no limit
	MaxEntries int64  // 0: no limit
	Owner      *Owner // owns everything, instead of the archive's owners, and no file acts with its rights
	// Unprivileged leaves out what would let a file act with its owner's
	// rights: setuid and setgid bits, and file capabilities.
	Unprivileged bool
	Progress     func(done int64) // told now and then how many bytes of content there are; may be nil
}

// Owner is a user and a group of the host.
type Owner struct{ UID, GID uint32 }

// Stats count what went through.
type Stats struct {
	Entries int64 // files, directories, links and so on, without those skipped
	Bytes   int64 // apparent size of the regular files
	Skipped int64 // device nodes and sockets, and when writing also mounted files
	Xattrs  int64 // extended attributes that do not travel or found no room
}

// Extract unpacks the tar stream r, which is not compressed, into root, and
// reads r to its end. It needs CAP_CHOWN, CAP_FOWNER and CAP_SETFCAP.
//
// An entry replaces what has its name, a whole tree if need be; only a
// directory over a directory merges. An entry may lie below a symbolic link if
// os.Root can follow it; the targets of links are otherwise taken as they are
// and never looked at. A hard link to a symbolic link is a second name of the
// link. Device nodes are left out: a guest's /dev is made by its launcher, and
// a character device 0:0 would hide files in an overlay. Runs of zeros become
// holes. Directories get their times when their content is complete.
//
// The stream must end with an end marker (one block of zeros at least) and
// hold nothing but zeros after it. The error is an *EntryError where it is
// about one entry, and matches ErrEscapes, ErrTooBig, ErrSpace, ErrTruncated
// or ErrFormat where it is of that kind. What was unpacked before an error
// stays.
func Extract(ctx context.Context, r io.Reader, root *os.Root, opts Options) (Stats, error) {
	x, err := newExtractor(root, opts)
	if err != nil {
		return Stats{}, err
	}
	err = x.stream(ctx, &source{ctx: ctx, r: r})
	if closed := x.dirs.close(); closed != nil {
		err = errors.Join(err, closed)
	}
	return x.stats, err
}

// extractor is one run of Extract.
type extractor struct {
	opts  Options
	stats Stats
	dirs  *dirStack
	space space
	buf   []byte
	acl   bool // some directory has a default ACL, which its files would take over
	told  int64
}

func newExtractor(root *os.Root, opts Options) (*extractor, error) {
	x := &extractor{opts: opts, buf: make([]byte, 256<<10)}
	dirs, err := newDirStack(root, x.ownImplied)
	if err != nil {
		return nil, err
	}
	x.dirs, x.space.fd = dirs, dirs.top().fd()
	return x, nil
}

func (x *extractor) stream(ctx context.Context, src *source) error {
	tr := tar.NewReader(src)
	for index := int64(1); ; index++ {
		end := src.nextBlock()
		h, err := tr.Next()
		switch {
		case err == io.EOF:
			return src.finish(end, index)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return headerError(index, err)
		}
		err = x.entry(ctx, h, tr)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return &EntryError{index, h.Name, err}
		}
	}
}

// headerError tells why there is no entry index.
func headerError(index int64, err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("entry %d: header is %w", index, ErrTruncated)
	case errors.Is(err, tar.ErrHeader) && index == 1:
		return ErrFormat
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("entry %d: header is damaged", index)
	default:
		return fmt.Errorf("entry %d: read header: %w", index, err)
	}
}
