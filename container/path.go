package container

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPathLen is PATH_MAX of the kernel, without the terminating zero.
const MaxPathLen = 4095

// ParsePath returns s if it is an absolute, clean path without control
// characters.
func ParsePath(s string) (string, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("the path is empty")
	case len(s) > MaxPathLen:
		return "", fmt.Errorf("the path has %d bytes, at most %d are allowed", len(s), MaxPathLen)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("%q is not UTF-8 text", s)
	case !path.IsAbs(s):
		return "", fmt.Errorf("%q is not an absolute path", s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", fmt.Errorf("%q has a control character", s)
	case path.Clean(s) != s:
		return "", fmt.Errorf("%q is not in its shortest form: write %q", s, path.Clean(s))
	}
	return s, nil
}

// ownMounts are where systemd-nspawn mounts its own file systems.
var ownMounts = []string{"/proc", "/sys", "/run/host", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/dev/hugepages"}

// ParseMountPoint returns s if something can be mounted there in a guest: a
// path of ParsePath that is not "/" nor a place of systemd-nspawn's own.
func ParseMountPoint(s string) (string, error) {
	p, err := ParsePath(s)
	if err != nil {
		return "", err
	}
	switch {
	case p == "/":
		return "", fmt.Errorf("%q is the guest's root, which the image gives", p)
	case p == "/dev":
		return "", fmt.Errorf("%q is mounted by systemd-nspawn itself; a path below it is fine", p)
	case p == "/run":
		return "", fmt.Errorf("%q belongs to the guest's init; a directory below it is fine", p)
	case slices.ContainsFunc(ownMounts, func(own string) bool { return below(p, own) }):
		return "", fmt.Errorf("%q is mounted by systemd-nspawn itself", p)
	}
	return p, nil
}

func below(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

// ParseTmpfs returns s if it has the form PATH[:OPTIONS], where PATH is one of
// ParseMountPoint and has no colon, and OPTIONS are those of mount(8).
func ParseTmpfs(s string) (string, error) {
	p, options, given := strings.Cut(s, ":")
	if _, err := ParseMountPoint(p); err != nil {
		return "", err
	}
	bad := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == ':' }
	switch {
	case given && options == "":
		return "", fmt.Errorf("%q names no options after the colon", s)
	case strings.ContainsFunc(options, bad):
		return "", fmt.Errorf("options %q have a space, a colon or a control character", options)
	}
	return s, nil
}

// TmpfsPath is the path of a value of ParseTmpfs.
func TmpfsPath(s string) string {
	p, _, _ := strings.Cut(s, ":")
	return p
}

// ParseDeviceNode returns s if it is a path below /dev, or a class of devices
// such as char-usb_device; see DeviceAllow= in systemd.resource-control(5).
func ParseDeviceNode(s string) (string, error) {
	for _, class := range []string{"char-", "block-"} {
		if name, ok := strings.CutPrefix(s, class); ok && name != "" && !strings.ContainsFunc(name, notClass) {
			return s, nil
		}
	}
	if p, err := ParsePath(s); err == nil && strings.HasPrefix(p, "/dev/") {
		return p, nil
	}
	return "", fmt.Errorf("%q is neither a path below /dev nor a class such as char-usb_device", s)
}

func notClass(r rune) bool {
	return !isAlnum(r) && !strings.ContainsRune("_-.*?", r)
}
