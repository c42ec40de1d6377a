package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// anchor makes the place in a root where the bind that is mounted at the path at
// belongs.
func (b Bind) anchor(at, root string, owner int) error {
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	return anchorPoint(root, b.Target, info.IsDir(), owner)
}

// anchorPoint makes in a root what is missing of the directories above the
// mount point of a bind, and the mount point where that is a directory, as the
// guest's root's: systemd-nspawn would make them as nobody's, and nobody could
// write beside what is mounted. Links are followed as the guest would. Where one
// leads nowhere the rest is systemd-nspawn's, as it is below its own mounts.
func anchorPoint(dir, target string, isDir bool, owner int) (err error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { err = errors.Join(err, unix.Close(root)) }()
	parts := strings.Split(strings.Trim(path.Clean(target), "/"), "/")
	if slices.Contains([]string{"dev", "proc", "run", "sys", "tmp"}, parts[0]) {
		return nil
	}
	if !isDir {
		parts = parts[:len(parts)-1]
	}
	for i := range parts {
		more, err := anchorPart(root, strings.Join(parts[:i+1], "/"), owner)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// anchorPart makes a directory in one that is there, unless it is there itself.
// more is false where something else has its name.
func anchorPart(root int, name string, owner int) (more bool, err error) {
	fd, err := openIn(root, name)
	switch err {
	case nil:
		return true, errors.Join(mend(fd, owner), unix.Close(fd))
	case unix.ENOENT:
	default:
		return false, nil
	}
	parent, err := openIn(root, path.Dir(name))
	if err != nil {
		return false, fmt.Errorf("make %s: %w", name, err)
	}
	defer unix.Close(parent)
	switch err := unix.Mkdirat(parent, path.Base(name), 0o755); err {
	case nil:
		return true, os.NewSyscallError("chown", unix.Fchownat(parent, path.Base(name), owner, owner, unix.AT_SYMLINK_NOFOLLOW))
	case unix.EEXIST: // a link to nothing
		return false, nil
	default:
		return false, fmt.Errorf("make %s: %w", name, err)
	}
}

// mend gives a directory that is the host's root's, as systemd-nspawn has made it
// for an earlier start, to the guest's: nothing else in a root is the host's.
func mend(fd, owner int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("stat", err)
	}
	if owner == 0 || st.Uid != 0 {
		return nil
	}
	return os.NewSyscallError("chown", unix.Fchownat(fd, "", owner, owner, unix.AT_EMPTY_PATH))
}

// openIn opens a directory of a root as the guest would.
func openIn(root int, name string) (int, error) {
	return unix.Openat2(root, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
}
