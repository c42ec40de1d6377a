package archive

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// openDirAt opens the directory base of dir, which is no link; a link or a
// file gives ENOTDIR.
func openDirAt(dir int, base string) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// retry calls f until no signal interrupts it.
func retry(f func() (int, error)) (int, error) {
	for {
		if n, err := f(); err != unix.EINTR {
			return n, err
		}
	}
}

// setMtime sets the modification time of an open file and leaves the other.
func setMtime(fd int, t unix.Timespec) error {
	return unix.UtimesNanoAt(fd, "", []unix.Timespec{{Nsec: unix.UTIME_OMIT}, t}, unix.AT_EMPTY_PATH)
}

// depthBelow counts the directories between top and dir, which lies below it.
func depthBelow(top, dir int) (int, error) {
	var want, st unix.Stat_t
	if err := unix.Fstat(top, &want); err != nil {
		return 0, err
	}
	fd, err := openDirAt(dir, ".")
	for depth := 0; err == nil; depth++ {
		if err = unix.Fstat(fd, &st); err != nil || st.Dev == want.Dev && st.Ino == want.Ino {
			return depth, errors.Join(err, unix.Close(fd))
		}
		if depth == maxDepth {
			return 0, errors.Join(errTooDeep, unix.Close(fd))
		}
		up, openErr := openDirAt(fd, "..")
		unix.Close(fd)
		fd, err = up, openErr
	}
	return 0, err
}

// procPath names an open file, for the calls that know paths only.
func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// cause is err without the paths below /proc that mean nothing to anyone.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
