package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	var st, there unix.Stat_t
	if err = unix.Fstat(int(d.Fd()), &st); err == nil && int(st.Uid) != os.Geteuid() {
		err = fs.ErrPermission
	}
	for locked := false; err == nil && !locked; {
		if err = unix.Flock(int(d.Fd()), how); err == unix.EINTR {
			err = nil
			continue
		}
		locked = true
	}
	if err == nil {
		err = unix.Lstat(dir, &there)
	}
	if err == nil && (there.Dev != st.Dev || there.Ino != st.Ino) {
		err = fs.ErrNotExist
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}
