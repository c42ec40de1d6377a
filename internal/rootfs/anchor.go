package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// anchor makes what systemd-nspawn insists on before it takes a directory for
// an operating system: a directory usr and a file os-release, which may be
// empty. Systems without a distribution's files do not have them, nor has a
// NixOS system before its first boot. They belong to owner, the guest's root.
func anchor(dir string, owner int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := anchorDir(root, "usr", owner); err != nil {
		return err
	}
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return nil // there, or where only the guest's own links lead
		}
	}
	if err := anchorDir(root, "etc", owner); err != nil {
		return err
	}
	f, err := root.OpenFile("etc/os-release", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("make etc/os-release: %w", err)
	}
	return errors.Join(f.Chown(owner, owner), f.Close())
}

// anchorDir makes a directory at the top, unless something has its name.
func anchorDir(root *os.Root, name string, owner int) error {
	err := root.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return root.Lchown(name, owner, owner)
}
