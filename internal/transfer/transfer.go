// Package transfer moves a file or a tree from one place to another as a
// stream. Either end may be on the host or in a guest; what comes from a
// guest is treated as hostile.
package transfer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/archive"
)

// The first byte of a stream says what follows as a tar stream.
const (
	kindFile = 'f' // one entry, the file
	kindTree = 'd' // the content of a directory
)

// Options are the same at both ends.
type Options struct {
	KeepOwners bool // otherwise everything belongs to root at the far end
	// Unprivileged takes setuid and setgid bits and file capabilities away at
	// the far end, which does not trust this one.
	Unprivileged bool
}

func (o Options) extract() archive.Options {
	return archive.Options{Owner: o.owner(), Unprivileged: o.Unprivileged}
}

func (o Options) owner() *archive.Owner {
	if o.KeepOwners {
		return nil
	}
	return &archive.Owner{}
}

// Send writes the file or the tree at path to w. A link at the end of path is
// followed.
func Send(ctx context.Context, w io.Writer, path string, o Options) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return sendTree(ctx, w, path, o)
	case info.Mode().IsRegular():
		return sendFile(w, path, info, o)
	}
	return fmt.Errorf("%s is neither a file nor a directory", path)
}

func sendTree(ctx context.Context, w io.Writer, path string, o Options) error {
	if _, err := w.Write([]byte{kindTree}); err != nil {
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = archive.Write(ctx, w, root, archive.WriteOptions{Owner: o.owner()})
	return err
}

// maxUnsized is how much is read of a file that does not know its size, in
// bytes.
const maxUnsized = 16 << 20

func sendFile(w io.Writer, path string, info fs.FileInfo, o Options) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	content := io.Reader(f)
	if h.Size == 0 { // as the files of /proc say, whatever is in them
		b, err := io.ReadAll(io.LimitReader(f, maxUnsized))
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		h.Size, content = int64(len(b)), bytes.NewReader(b)
	}
	h.Name, h.Uname, h.Gname, h.Format = "file", "", "", tar.FormatPAX
	if !o.KeepOwners {
		h.Uid, h.Gid = 0, 0
	}
	if _, err := w.Write([]byte{kindFile}); err != nil {
		return err
	}
	t := tar.NewWriter(w)
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.Copy(t, content); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return t.Close()
}

// Receive puts what Send wrote at path: into it under name where it is a
// directory that exists, and otherwise in its place.
func Receive(ctx context.Context, r io.Reader, path, name string, o Options) error {
	in := bufio.NewReader(r)
	kind, err := in.ReadByte()
	if err != nil {
		return fmt.Errorf("nothing came: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, name)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch kind {
	case kindTree:
		return receiveTree(ctx, in, path, o)
	case kindFile:
		return receiveFile(ctx, in, path, o)
	}
	return fmt.Errorf("the stream is damaged: its kind is %q", kind)
}

func receiveTree(ctx context.Context, r io.Reader, path string, o Options) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = archive.Extract(ctx, r, root, o.extract())
	return err
}

// receiveFile unpacks beside the place where the file belongs, and moves it
// there when it is whole.
func receiveFile(ctx context.Context, r io.Reader, path string, o Options) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is there already, and not a regular file", path)
	}
	staging, unlock, err := newStaging(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging), unlock()) }()
	root, err := os.OpenRoot(staging)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := archive.Extract(ctx, r, root, o.extract()); err != nil {
		return err
	}
	if info, err := root.Lstat("file"); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, errors.New("the stream is damaged: it holds no file"))
	}
	return os.Rename(filepath.Join(staging, "file"), path)
}
