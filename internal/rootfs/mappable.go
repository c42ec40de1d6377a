package rootfs

import (
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
)

// Mappable reports, as nil, that owners can be mapped in what is mounted at
// path, and with below in all that is mounted below it too. It tries so on a
// mount that nobody sees.
func Mappable(path string, below bool) error {
	users, err := namespace.NewUser(namespace.Extent{Inside: 0, Outside: 1 << 20, Count: 1})
	if err != nil {
		return err
	}
	defer users.Close()
	var flags uint
	if below {
		flags = unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Propagation: unix.MS_PRIVATE, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|flags, &a); err != nil {
		return &mapError{err}
	}
	return nil
}
