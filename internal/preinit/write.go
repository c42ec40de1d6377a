package preinit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// write puts the settings into the guest whose root directory is root, and
// returns what could not be written. An odd guest is no reason not to boot it.
func (s Settings) write(root string) []error {
	var errs []error
	for _, f := range s.Files {
		at := filepath.Join(root, f.Path)
		if _, err := os.Lstat(at); f.Missing && err == nil {
			continue
		}
		if err := put(at, f.Text, true); err != nil {
			errs = append(errs, err)
		}
	}
	if s.Resolver != "" {
		errs = append(errs, resolver(root, s.Resolver)...)
	}
	if s.Client != "" {
		if err := wake(root, s.Client); err != nil {
			errs = append(errs, fmt.Errorf("%s has no address until a DHCP client asks for one: %w", s.Client, err))
		}
	}
	return errs
}

// put makes a file say text, where it does not yet. It is written in place,
// since a guest may have mounted something there, and waits for nobody, as a
// pipe would have it do.
func put(path, text string, makeDirs bool) error {
	if b, err := read(path); err == nil && string(b) == text {
		return nil
	}
	if makeDirs {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("write %s: it is not a file", path))
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Close()
}

// maxRead is the most that is read of a file of the guest, in bytes.
const maxRead = 1 << 20

// read reads a file of the guest, which may be odd: it waits for nobody, and
// refuses what is no file, or is too large.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRead {
		return nil, fmt.Errorf("read %s: it is not a small file", path)
	}
	return os.ReadFile(path)
}

// resolver makes /etc/resolv.conf say text. Where it is a link to the file of
// some resolver's it stays one: what it leads to is written, which holds until
// that resolver runs, and knows by other files.
func resolver(root, text string) []error {
	file := filepath.Join(root, "etc/resolv.conf")
	target, err := os.Readlink(file)
	if err != nil { // it is no link
		return errorsOf(put(file, text, true))
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join("/etc", target)
	}
	// The link may lead to where nothing is yet, /run being empty at boot.
	errs := errorsOf(put(filepath.Join(root, target), text, true))
	if strings.HasPrefix(target, "/run/resolvconf/") || strings.HasPrefix(target, "/etc/resolvconf/run/") {
		// In the words of Debian's resolvconf, and of openresolv.
		for _, dir := range []string{"run/resolvconf/interface", "run/resolvconf/interfaces"} {
			errs = append(errs, errorsOf(put(filepath.Join(root, dir, "eth0.berth"), text, true))...)
		}
	}
	return errs
}

func errorsOf(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}

// wake has the guest's systemd start its systemd-networkd at this boot, unless
// something of the guest's own sets its interfaces up.
func wake(root, client string) error {
	const unit = "systemd-networkd.service"
	if hasClient(root, client) {
		return nil
	}
	for _, dir := range []string{"usr/lib", "lib"} {
		if _, err := os.Stat(filepath.Join(root, dir, "systemd/system", unit)); err != nil {
			continue
		}
		wants := filepath.Join(root, "run/systemd/system/multi-user.target.wants")
		if err := os.MkdirAll(wants, 0o755); err != nil {
			return err
		}
		err := os.Symlink("/"+filepath.Join(dir, "systemd/system", unit), filepath.Join(wants, unit))
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return errors.New("berth knows none in this guest; systemd-networkd would do")
}

// hasClient reports whether the guest starts a program by itself that sets up
// the interface.
func hasClient(root, name string) bool {
	for _, unit := range []string{"systemd-networkd", "NetworkManager", "dhcpcd", "connman"} {
		if _, err := os.Lstat(filepath.Join(root, "etc/systemd/system/multi-user.target.wants", unit+".service")); err == nil {
			return true
		}
	}
	files, _ := filepath.Glob(filepath.Join(root, "etc/network/interfaces.d/*"))
	for _, f := range append(files, filepath.Join(root, "etc/network/interfaces")) {
		if b, err := read(f); err == nil && strings.Contains(string(b), "iface "+name+" ") {
			return true
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "etc/passwd")); errors.Is(err, fs.ErrNotExist) {
		return true // a NixOS that has never booted
	}
	// NixOS links its units from elsewhere, and others have no systemd.
	for _, f := range []string{"etc/NIXOS", "etc/dhcpcd.conf", "etc/runlevels/default/dhcpcd"} {
		if _, err := os.Lstat(filepath.Join(root, f)); err == nil {
			return true
		}
	}
	return false
}
