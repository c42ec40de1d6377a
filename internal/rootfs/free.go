package rootfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// storeInRoot is where a guest has its store.
const storeInRoot = "nix/store"

// freeStore gives a store that is in the root at target a mount of its own that
// is not nodev, as that of mountOwn is not: a Nix in a guest with a range of its
// own could not write to it otherwise. Device nodes that a guest may use are
// those that the control group of the guest allows, here as anywhere.
func freeStore(target string) error {
	root, err := unix.Open(target, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(root)
	store, err := unix.Openat2(root, storeInRoot, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // there is none
	case err != nil:
		return os.NewSyscallError("openat2", err)
	}
	defer unix.Close(store)
	tree, err := unix.OpenTree(store, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE})
	if err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", store, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}
