package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Part is a part of the kernel that containers need, and that a kernel may be
// built without or keep from this process.
type Part struct {
	Name   string
	Try    func() error // uses it, and changes nothing
	Remedy string
}

// Parts are these, but for user namespaces, which take a process to try.
func Parts() []Part {
	return []Part{
		{"overlay", tryOverlay, "have the kernel's overlay module: modprobe overlay, or a kernel with CONFIG_OVERLAY_FS"},
		{"pidfd", tryPidfd, "use a kernel that has pidfds, and let this process use them: a seccomp filter around it may not"},
		{"seccomp", trySeccomp, "use a kernel with CONFIG_SECCOMP_FILTER"},
		{"mount API", tryMountAPI, "let this process use open_tree(2) and mount_setattr(2): a seccomp filter around it may not"},
	}
}

// tryOverlay asks for the file system, as a mount would, without mounting.
func tryOverlay() error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen overlay: %w", err)
	}
	return unix.Close(fd)
}

func tryPidfd() error {
	fd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	return unix.Close(fd)
}

// trySeccomp passes a filter that is not there: a kernel with filters then
// complains of the address.
func trySeccomp() error {
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0)
	if errors.Is(err, unix.EFAULT) {
		return nil
	}
	return fmt.Errorf("prctl PR_SET_SECCOMP: %w", err)
}

func tryMountAPI() error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	return nil
}
