package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/link"
	"github.com/berth-containers/berth/internal/state"
)

// pinFile is where the network namespace of a guest is mounted that has
// interfaces of the host. When the namespace ends the kernel gives them to the
// machine's first one, which need not be berth's.
func pinFile(paths state.Paths, n container.Name) string {
	return filepath.Join(paths.Run(n), "netns")
}

func pin(paths state.Paths, n container.Name, guest *os.File) error {
	if err := unpin(paths, n); err != nil {
		return err
	}
	file := pinFile(paths, n)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", guest.Fd()), file, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("hold on to the guest's network: %w", err)
	}
	return nil
}

// pinned opens what is pinned; nil where nothing is.
func pinned(paths state.Paths, n container.Name) (*link.Namespace, error) {
	f, err := os.Open(pinFile(paths, n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Type != unix.NSFS_MAGIC {
		return nil, err
	}
	return link.In(f)
}

func unpin(paths state.Paths, n container.Name) error {
	file := pinFile(paths, n)
	err := unix.Unmount(file, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unmount %s: %w", file, err)
	}
	return state.RemoveFile(file)
}
