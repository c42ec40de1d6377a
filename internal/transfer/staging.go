package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// newStaging makes a directory for the file that belongs at path, beside it,
// which unlock gives up when it has been removed. It removes that of a copy to
// path that was killed. While another one works there, the directory is one that
// no copy finds again.
func newStaging(path string) (staging string, unlock func() error, err error) {
	sum := sha256.Sum256([]byte(filepath.Base(path)))
	staging = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%x", stagingPrefix, sum[:6]))
	for {
		err := os.Mkdir(staging, 0o700)
		made := err == nil
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", nil, err
		}
		how := unix.LOCK_EX // another one takes it for a killed one's, and removes it
		if !made {
			how |= unix.LOCK_NB
		}
		d, err := lockOwn(staging, how)
		switch {
		case err == nil && made:
			return staging, d.Close, nil
		case err == nil:
			if err := errors.Join(os.RemoveAll(staging), d.Close()); err != nil {
				return "", nil, err
			}
		case !errors.Is(err, fs.ErrNotExist):
			if made {
				_ = os.Remove(staging)
			}
			staging, err := os.MkdirTemp(filepath.Dir(path), stagingPrefix+"*")
			return staging, func() error { return nil }, err
		}
	}
}

const stagingPrefix = ".berth-cp-"

// lockOwn locks a directory of the user that this process runs as. The kernel
// unlocks it with the process. The error for one that is not there, or has been
// removed meanwhile, matches fs.ErrNotExist.
func lockOwn(dir string, how int) (*os.File, error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := claim(d, dir, how); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// claim locks d, which was opened as dir.
func claim(d *os.File, dir string, how int) error {
	opened, err := d.Stat()
	if err != nil {
		return err
	}
	if st, ok := opened.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return fs.ErrPermission
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(d.Fd()), how)
	}
	if err != nil {
		return err
	}
	there, err := os.Lstat(dir)
	if err == nil && !os.SameFile(opened, there) {
		err = fs.ErrNotExist
	}
	return err
}
