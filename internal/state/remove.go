package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RemoveTree removes the tree at path, which must lie on one file system. It
// follows no link, clears the immutable flags that NixOS sets, and stops with
// an error before anything that is mounted below path. A path that is not
// there is no error.
func RemoveTree(path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer parent.Close()
	if err := removeAt(int(parent.Fd()), filepath.Base(path)); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// removeAt removes name below the directory dir.
func removeAt(dir int, name string) error {
	err := unlink(dir, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	fd, openErr := openBeneath(dir, name)
	switch {
	case openErr == unix.ENOTDIR || openErr == unix.ELOOP: // a file that may not be removed
		return clearAndUnlink(dir, name, dir)
	case openErr != nil:
		return openErr
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	if err := removeEntries(d); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := unlink(dir, name, unix.AT_REMOVEDIR); err != unix.EPERM {
		return err
	}
	return clearAndUnlink(dir, name, dir, fd)
}

func removeEntries(d *os.File) error {
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := removeAt(int(d.Fd()), n); err != nil {
			return err
		}
	}
	return nil
}

// clearAndUnlink clears the immutable flags of what keeps name from being
// removed, which are the open directories in held and name itself, and
// removes it.
func clearAndUnlink(dir int, name string, held ...int) error {
	flags := 0
	for i, fd := range held {
		if err := clearFlags(fd); err != nil {
			return err
		}
		if i > 0 {
			flags = unix.AT_REMOVEDIR
		}
	}
	if flags == 0 {
		how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: resolveBeneath}
		if fd, err := unix.Openat2(dir, name, how); err == nil {
			err = clearFlags(fd)
			unix.Close(fd)
			if err != nil {
				return err
			}
		}
	}
	return unlink(dir, name, flags)
}

const resolveBeneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV

func openBeneath(dir int, name string) (int, error) {
	return unix.Openat2(dir, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: resolveBeneath,
	})
}

func unlink(dir int, name string, flags int) error {
	for {
		if err := unix.Unlinkat(dir, name, flags); err != unix.EINTR {
			return err
		}
	}
}

const immutable = 0x10 | 0x20 // FS_IMMUTABLE_FL, FS_APPEND_FL of linux/fs.h

func clearFlags(fd int) error {
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&immutable == 0 {
		return nil // a file system without such flags, or none set
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^immutable)
}
