package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/nar"
)

// What every file in a store is like.
const (
	modeFile       = 0o444
	modeExecutable = 0o555
	modeDirectory  = 0o555
	mtime          = 1 // seconds since 1970
)

// tree unpacks one store path into the staging directory. It works on open
// directories that it has made itself, one name at a time, and follows no
// link. It is a nar.Tree.
type tree struct {
	name  string // of the topmost entry
	top   *os.File
	dirs  []*os.File // those that were entered
	names []string   // theirs
	links links
}

func (s *Store) newTree(p nix.StorePath) (*tree, error) {
	top, err := os.Open(s.staging())
	if err != nil {
		return nil, err
	}
	l, err := s.openLinks()
	if err != nil {
		return nil, errors.Join(err, top.Close())
	}
	return &tree{name: p.Base(), top: top, links: l}, nil
}

func (t *tree) close() error {
	errs := []error{t.top.Close(), t.links.close()}
	for _, d := range t.dirs {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// place is the open directory and the name for an entry.
func (t *tree) place(name string) (int, string) {
	if len(t.dirs) == 0 {
		return int(t.top.Fd()), t.name
	}
	return int(t.dirs[len(t.dirs)-1].Fd()), name
}

// Enter implements nar.Tree.
func (t *tree) Enter(name string) error {
	dir, name := t.place(name)
	if err := unix.Mkdirat(dir, name, 0o700); err != nil {
		return failed("mkdir", name, err)
	}
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	t.dirs, t.names = append(t.dirs, os.NewFile(uintptr(fd), name)), append(t.names, name)
	return nil
}

// Leave implements nar.Tree.
func (t *tree) Leave() error {
	last := len(t.dirs) - 1
	d, name := t.dirs[last], t.names[last]
	t.dirs, t.names = t.dirs[:last], t.names[:last]
	err := errors.Join(unix.Fchmod(int(d.Fd()), modeDirectory), d.Close())
	if err != nil {
		return failed("chmod", name, err)
	}
	dir, name := t.place(name)
	return stamp(dir, name)
}

// Link implements nar.Tree.
func (t *tree) Link(name, target string) error {
	dir, name := t.place(name)
	if err := unix.Symlinkat(target, dir, name); err != nil {
		return failed("symlink", name, err)
	}
	return stamp(dir, name)
}

// File implements nar.Tree.
func (t *tree) File(name string, executable bool, content *nar.Content) error {
	f := entry{mode: modeFile}
	f.dir, f.name = t.place(name)
	if executable {
		f.mode = modeExecutable
	}
	if content.Left() > nar.BufferSize {
		return t.large(f, content)
	}
	b, err := content.Next()
	if err != nil {
		return err
	}
	size := int64(len(b))
	key := contentKey(size, xxhash.Sum64(b), f.mode)
	if size > 0 && t.links.adopt(key, f, size, bytes.NewReader(b)) {
		return nil
	}
	fd, err := f.create()
	if err != nil {
		return err
	}
	if err := f.finish(fd, writeAll(fd, b)); err != nil || size == 0 {
		return err
	}
	return t.links.share(key, f, size)
}

// large unpacks a file in pieces, and shares its content afterwards.
func (t *tree) large(f entry, content *nar.Content) error {
	fd, err := f.create()
	if err != nil {
		return err
	}
	size, hash := content.Left(), xxhash.New()
	for content.Left() > 0 && err == nil {
		var b []byte
		if b, err = content.Next(); err == nil {
			hash.Write(b)
			err = writeAll(fd, b)
		}
	}
	if err := f.finish(fd, err); err != nil {
		return err
	}
	return t.links.share(contentKey(size, hash.Sum64(), f.mode), f, size)
}

// entry is a file that is unpacked: in an open directory, under a name there.
type entry struct {
	dir  int
	name string
	mode uint32
}

func (e entry) create() (int, error) {
	return openat(e.dir, e.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
}

// finish closes a file that was written, and gives it its mode and time.
func (e entry) finish(fd int, err error) error {
	if err == nil {
		err = unix.Fchmod(fd, e.mode)
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return failed("write", e.name, err)
	}
	return stamp(e.dir, e.name)
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && err != unix.EINTR {
			return err
		}
		b = b[max(0, n):]
	}
	return nil
}

// stamp gives a file its time.
func stamp(dir int, name string) error {
	ts := unix.Timespec{Sec: mtime}
	return failed("utimensat", name, unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err == unix.EINTR {
			continue
		}
		return fd, failed("open", name, err)
	}
}

// failed says which file an error is about, and of a full disk what to do.
func failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*container.Error](err); known {
		return err // of the archive
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return noRoom(err)
	}
	return fmt.Errorf("%s %q: %w", op, name, err)
}

func noRoom(err error) error {
	return &container.Error{Err: err, Hint: "make room, for instance with berth nix gc and berth image prune, and pull again: what is there already is not fetched again"}
}
