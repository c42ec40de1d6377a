package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
)

// CoverStore mounts r's Store over the one that a running guest has. Programs
// that run go on with what they have open, and find in the new one whatever
// they look for: that the names of the old one are among its own is up to the
// caller. guest is the guest's root directory, and leader a process in its
// mount namespace. r.Dir, an empty directory, serves for a moment.
//
// What was mounted before stays below: only so programs that run still know
// the paths of what they were started from. It is the guest's own mount
// namespace that ends both.
func (r Root) CoverStore(leader int, guest *os.File) (lost string, err error) {
	var store int
	err = namespace.Unshared(unix.CLONE_NEWNS|unix.CLONE_FS, func() error {
		store, lost, err = r.detachedStore()
		return err
	})
	if err != nil {
		return lost, err
	}
	defer unix.Close(store)
	at, err := unix.Openat2(int(guest.Fd()), storeInRoot, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return lost, fmt.Errorf("open the guest's store: %w", err)
	}
	defer unix.Close(at)
	return lost, namespace.InMounts(leader, func() error {
		const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
		if err := unix.MoveMount(store, "", at, "", flags); err != nil {
			return fmt.Errorf("mount over the guest's store: %w", err)
		}
		return nil
	})
}

// detachedStore mounts the store in this mount namespace, which nothing else
// uses, and returns a mount of it that no namespace has.
func (r Root) detachedStore() (fd int, lost string, err error) {
	if err := errors.Join(Isolate(), Hide(r.Dir)); err != nil {
		return -1, "", err
	}
	users, layers, err := r.userNamespaces()
	if err != nil {
		return -1, "", err
	}
	defer users.Close() // of no file, where it is not needed
	defer layers.Close()
	at, lost, err := r.mountStore(users, layers)
	if err != nil {
		return -1, lost, err
	}
	fd, err = unix.OpenTree(unix.AT_FDCWD, filepath.Clean(at), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, lost, fmt.Errorf("store %s: %w", r.Store.Dir, err)
	}
	return fd, lost, nil
}
