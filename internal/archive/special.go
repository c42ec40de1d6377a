package archive

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
)

// replacing calls create, which must fail with EEXIST where base exists; then
// it removes what is there and tries once more.
func (x *extractor) replacing(dir int, base, op string, create func() error) error {
	err := create()
	if err != unix.EEXIST {
		return os.NewSyscallError(op, err)
	}
	x.dirs.stale = true
	if err := state.RemoveTree(path.Join(procPath(dir), base)); err != nil {
		return fmt.Errorf("replace what is in its place: %w", cause(err))
	}
	return os.NewSyscallError(op, create())
}

func (x *extractor) symlink(dir int, base, target string, a attributes) error {
	if target == "" || len(target) > maxPath {
		return fmt.Errorf("link target has %d bytes, 1 to %d are allowed", len(target), maxPath)
	}
	err := x.replacing(dir, base, "symlink", func() error { return unix.Symlinkat(target, dir, base) })
	if err != nil {
		return err
	}
	if err := unix.Fchownat(dir, base, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return os.NewSyscallError("chown", err)
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, a.mtime}
	return os.NewSyscallError("set time", unix.UtimesNanoAt(dir, base, times, unix.AT_SYMLINK_NOFOLLOW))
}

func (x *extractor) fifo(dir int, base string, a attributes) error {
	err := x.replacing(dir, base, "mkfifo", func() error { return unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0) })
	if err != nil {
		return err
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(dir, base, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	return errors.Join(x.apply(fd, a), setMtime(fd, a.mtime), unix.Close(fd))
}

// hardLink gives the file target a second name. linkat(2) does not follow
// target where that is a link.
func (x *extractor) hardLink(name, target string) error {
	from, err := cleanName(target)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", clip(target), err)
	}
	if from == name {
		return errors.New("hard link to itself")
	}
	src, err := x.linkTarget(from)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", clip(target), err)
	}
	defer src.Close()
	dir, err := x.dirs.enter(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	return x.replacing(dir.fd(), base, "link", func() error {
		return unix.Linkat(int(src.Fd()), path.Base(from), dir.fd(), base, 0)
	})
}

// linkTarget opens the directory of a hard link's target, which must be
// something other than a directory.
func (x *extractor) linkTarget(name string) (*os.File, error) {
	if name == "." {
		return nil, errors.New("target is a directory")
	}
	dir, err := x.dirs.root.OpenFile(path.Dir(name), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("target is not in the archive before it")
	} else if err != nil {
		return nil, x.dirs.whyNot(path.Dir(name), err)
	}
	var st unix.Stat_t
	err = unix.Fstatat(int(dir.Fd()), path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		err = errors.New("target is not in the archive before it")
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		err = errors.New("target is a directory")
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}
