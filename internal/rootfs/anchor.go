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
	return anchorFile(root, "etc/os-release", owner)
}

// anchorNew makes, in a root that started from nothing, what an image has:
// systemd takes a guest without a file machine-id for one whose units are to be
// enabled anew, and fills in one that is empty; see machine-id(5).
func anchorNew(dir string, dirs []string, owner int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, dir := range append([]string{"etc", "nix", storeInRoot}, dirs...) { // systemd-nspawn would make a mount point that is nobody's
		if err := anchorDir(root, dir, owner); err != nil {
			return err
		}
	}
	return anchorFile(root, "etc/machine-id", owner)
}

// anchorFile makes an empty file, unless something has its name.
func anchorFile(root *os.Root, name string, owner int) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return errors.Join(f.Chown(owner, owner), f.Close())
}

// anchorDir makes a directory, unless something has its name.
func anchorDir(root *os.Root, name string, owner int) error {
	err := root.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return root.Lchown(name, owner, owner)
}
