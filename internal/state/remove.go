package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RemoveTree removes the tree at path, which must lie on one file system. It
// follows no link, clears the immutable flags that NixOS sets, and stops with
// an error before anything that is mounted below path. A path that is not
// there is no error. However deep the tree is, it holds few files open.
func RemoveTree(path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer parent.Close()
	var r remover
	if err := r.remove(int(parent.Fd()), filepath.Base(path), 0); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// maxDepth is how many directories are open at a time. What lies deeper is
// moved up to the top of the tree first.
const maxDepth = 128

// remover removes one tree.
type remover struct {
	top   *os.File // the tree's own directory
	moved int      // trees that were moved up to top
}

// remove removes name below the directory dir, which lies depth levels deep.
func (r *remover) remove(dir int, name string, depth int) error {
	err := unlink(dir, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	fd, openErr := openBeneath(dir, name)
	switch {
	case openErr == unix.ENOTDIR || openErr == unix.ELOOP: // a file that may not be removed
		return clearAndUnlink(dir, name, dir)
	case openErr == unix.ENOENT: // another one has removed it
		return nil
	case openErr == unix.EXDEV:
		return fmt.Errorf("%s: something is mounted there: %w", name, openErr)
	case openErr != nil:
		return fmt.Errorf("%s: %w", name, openErr)
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	if depth == maxDepth {
		return r.moveUp(dir, name, fd)
	}
	if depth == 0 {
		r.top = d
	}
	for range maxPasses {
		if err := r.entries(d, depth); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err = unlink(dir, name, unix.AT_REMOVEDIR); err == unix.EPERM {
			err = clearAndUnlink(dir, name, dir, fd)
		}
		if err == unix.ENOENT {
			return nil
		} else if err != unix.ENOTEMPTY {
			return err
		}
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return err
}

// maxPasses is how often a directory is emptied, to which somebody adds: a
// program that a killed command has left does so once or twice.
const maxPasses = 100

// entries empties the directory d. That of the top gets new entries meanwhile,
// and is read until there are none.
func (r *remover) entries(d *os.File, depth int) error {
	for {
		names, err := d.Readdirnames(-1)
		if errors.Is(err, fs.ErrNotExist) { // another one has removed the directory
			return nil
		} else if err != nil {
			return err
		}
		for _, n := range names {
			if err := r.remove(int(d.Fd()), n, depth+1); err != nil {
				return err
			}
		}
		if depth > 0 || len(names) == 0 {
			return nil
		}
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

// moveUp moves the directory name, open as fd, from dir to the top.
func (r *remover) moveUp(dir int, name string, fd int) error {
	top := int(r.top.Fd())
	for _, d := range []int{dir, fd, top} {
		if err := clearFlags(d); err != nil {
			return err
		}
	}
	for {
		r.moved++
		err := unix.Renameat2(dir, name, top, fmt.Sprintf(".deep-%d", r.moved), unix.RENAME_NOREPLACE)
		if err != unix.EEXIST {
			return os.NewSyscallError("renameat2", err)
		}
	}
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
	if flags == 0 && isRegular(dir, name) { // for a device node the flags are its driver's
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

func isRegular(dir int, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
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
