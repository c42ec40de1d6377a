package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mount makes the bind's source appear at the path at. Where the source's
// file system, or one mounted below it, cannot map owners, the guest sees
// those as nobody's: lost says so.
func (b Bind) mount(at string, users *os.File) (lost string, err error) {
	if err := mountPoint(b.Source, at); err != nil {
		return "", err
	}
	var attr uint64
	if b.ReadOnly {
		attr = unix.MOUNT_ATTR_RDONLY
	}
	err = cloneMount(b.Source, at, users, attr, unix.AT_RECURSIVE)
	var cannot *mapError
	if !errors.As(err, &cannot) {
		return "", err
	}
	// With other mounts below it, the source alone may still be mapped.
	if err := cloneMount(b.Source, at, users, attr, 0); err == nil {
		return fmt.Sprintf("bindMounts.%s: what is mounted below %s is left out, because a file system there cannot map owners", b.Target, b.Source), nil
	}
	if err := cloneMount(b.Source, at, nil, attr, unix.AT_RECURSIVE); err != nil {
		return "", err
	}
	return fmt.Sprintf("bindMounts.%s: the guest sees the owners in %s as nobody, because %v", b.Target, b.Source, cannot), nil
}

// mountPoint makes a file or a directory at path, as source is one.
func mountPoint(source, path string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		return os.Mkdir(path, 0o755)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
