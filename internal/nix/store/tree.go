package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
)

// What every file in a store is like.
const (
	modeFile       = 0o444
	modeExecutable = 0o555
	modeDirectory  = 0o555
	mtime          = 1 // seconds since 1970
)

// chunk is how much of a file is in memory at a time. A file that fits is not
// even written where the store has its content.
const chunk = 1 << 20

// tree unpacks one store path into the staging directory. It works on open
// directories that it has made itself, one name at a time, and follows no
// link. It is a nar.Tree.
type tree struct {
	name    string // of the topmost entry
	top     *os.File
	dirs    []*os.File // those that were entered
	names   []string   // theirs
	links   linkDirs
	buf     []byte
	brought []string // links that it made
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
	return &tree{name: p.Base(), top: top, links: l, buf: make([]byte, chunk)}, nil
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
	t.dirs, t.names = append(t.dirs, fd), append(t.names, name)
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
func (t *tree) File(name string, executable bool, size int64, content io.Reader) error {
	dir, name := t.place(name)
	mode := uint32(modeFile)
	if executable {
		mode = modeExecutable
	}
	if size > int64(len(t.buf)) {
		return t.large(dir, name, mode, content)
	}
	b := t.buf[:size]
	if _, err := io.ReadFull(content, b); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	key := linkKey(sum[:], mode)
	if size > 0 && t.links.adopt(key, dir, name) {
		return nil
	}
	f, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = finish(f, dir, name, mode, err); err != nil || size == 0 {
		return err
	}
	t.offer(key, dir, name)
	return nil
}

// large unpacks a file in pieces, and shares its content afterwards.
func (t *tree) large(dir int, name string, mode uint32, content io.Reader) error {
	f, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, h)}, content, t.buf)
	if err = finish(f, dir, name, mode, err); err != nil {
		return err
	}
	key := linkKey(h.Sum(nil), mode)
	spare := name + ".berth" // no entry can have it: it is removed before the next one comes
	if !t.links.adopt(key, dir, spare) {
		t.offer(key, dir, name)
		return nil
	}
	return failed("rename", name, unix.Renameat(dir, spare, dir, name))
}

func (t *tree) offer(key string, dir int, name string) {
	if t.links.offer(key, dir, name) {
		t.brought = append(t.brought, key)
	}
}

// finish gives a file that was written its mode and time.
func finish(f *os.File, dir int, name string, mode uint32, err error) error {
	if err == nil {
		err = unix.Fchmod(int(f.Fd()), mode)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return failed("write", name, err)
	}
	return stamp(dir, name)
}

// stamp gives a file its time.
func stamp(dir int, name string) error {
	ts := unix.Timespec{Sec: mtime}
	return failed("utimensat", name, unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}

func openat(dir int, name string, flags int, mode uint32) (*os.File, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, failed("open", name, err)
		}
		return os.NewFile(uintptr(fd), name), nil
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

// linkKey names content: its SHA-256, and an x where the file is executable,
// which hard links share.
func linkKey(sum []byte, mode uint32) string {
	key := hex.EncodeToString(sum)
	if mode == modeExecutable {
		key += "x"
	}
	return key
}
