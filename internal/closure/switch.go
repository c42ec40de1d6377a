package closure

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// NoSwitch is why a guest that runs the system in the directory from could not
// change to the one in to while it runs; "" where nothing says so beforehand.
// Both are directories of the host. See NixOS' switchable-system.nix, and its
// switch-to-configuration, which ends with 100 for another interface of init.
func NoSwitch(from, to string) (string, error) {
	if _, err := os.Lstat(filepath.Join(to, "bin/switch-to-configuration")); errors.Is(err, fs.ErrNotExist) {
		return "its new system has no switch-to-configuration", nil
	} else if err != nil {
		return "", err
	}
	has, err := initInterface(from)
	if err != nil {
		return "", err
	}
	wants, err := initInterface(to)
	if err != nil || has == wants {
		return "", err
	}
	return fmt.Sprintf("its new system has another init: %q, not %q", wants, has), nil
}

// initInterface is what a system says of its init: such as "systemd 2", a few
// bytes, or nothing.
func initInterface(system string) (string, error) {
	f, err := os.Open(filepath.Join(system, "init-interface-version"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	return string(b), err
}
