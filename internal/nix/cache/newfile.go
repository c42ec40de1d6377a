package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
)

// file is one that is written before it has a name. So nothing is left of
// it where its process is killed: a cache is not berth's to clean up. File systems
// that have no such files, as those of other machines, give it one for a while.
type file struct {
	*os.File
	named bool
}

func newFile(dir string) (file, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return file{os.NewFile(uintptr(fd), filepath.Join(dir, "a new file")), false}, nil
	}
	f, err := os.CreateTemp(dir, ".tmp-*")
	return file{f, true}, err
}

// place gives the file its name, with all that was written on the disk before.
// One that has it already stays.
func (f file) place(path string) error {
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return err
	}
	if f.named {
		return os.Rename(f.Name(), path)
	}
	err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	if err != nil && err != unix.EEXIST {
		return &os.LinkError{Op: "link", Old: f.Name(), New: path, Err: err}
	}
	return nil
}

// drop closes the file, and removes what has no name yet.
func (f file) drop() error {
	err := f.Close()
	if f.named {
		err = errors.Join(err, state.RemoveFile(f.Name()))
	}
	return err
}

// write puts a file with a text in its place, unless there is one.
func write(path, text string) (err error) {
	f, err := newFile(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.drop()) }()
	if _, err := io.WriteString(f, text); err != nil {
		return err
	}
	if err := f.place(path); err != nil {
		return err
	}
	return state.SyncDir(filepath.Dir(path))
}
