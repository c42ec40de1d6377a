package image

import (
	"context"
	"errors"
	"io/fs"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
)

var (
	errNotFile    = errors.New("it is not a regular file")
	errChanged    = errors.New("it changed while it was read")
	errHoldsStore = errors.New("the image store lies inside it")
)

// explain makes of err what a user gets to see.
func explain(ref container.ImageRef, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*container.Error](err); ok && e.Op == "" && e.Subject == "" {
		return &container.Error{Op: "import", Subject: ref.String(), Err: e.Err, Hint: e.Hint}
	} else if ok {
		return err
	}
	return &container.Error{Op: "import", Subject: ref.String(), Err: err, Hint: hint(err)}
}

// hint says what to do about err.
func hint(err error) string {
	for _, h := range []struct {
		is   error
		text string
	}{
		{context.Canceled, ""},
		{errEmpty, "check that the path is that of a root file system"},
		{errNoRoot, "the top of the archive or directory must be the guest's root, not a directory above it"},
		{errNotFile, "use dir:/PATH for a directory and tar:/PATH for a file"},
		{errChanged, "try again when nobody writes to it"},
		{errHoldsStore, "name a directory that does not contain the store, such as a copy"},
		{archive.ErrEscapes, "the archive is damaged or wants to harm: make it anew with tar --numeric-owner -C ROOT -c ."},
		{archive.ErrTruncated, "the file is not complete: get it again"},
		{archive.ErrTooBig, "check that the file is the image that you mean"},
		{archive.ErrSpace, "make room with berth image prune"},
		{archive.ErrFormat, "write a tar file that is plain or compressed by gzip, zstd or xz"},
		{fs.ErrNotExist, "check the path"},
		{fs.ErrPermission, "run it as root"},
	} {
		if errors.Is(err, h.is) {
			return h.text
		}
	}
	return ""
}
