package image

import (
	"errors"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/plain"
)

var (
	errEmpty  = errors.New("there is nothing in it")
	errNoRoot = errors.New("it is not a root file system: it has none of usr, bin, sbin, etc, nix")
)

// verify makes sure that a tree looks like a root file system.
func verify(root *os.Root) error {
	for _, name := range []string{"usr", "bin", "sbin", "etc", "nix"} {
		if _, err := root.Lstat(name); err == nil {
			return nil
		}
	}
	top, err := root.Open(".")
	if err != nil {
		return err
	}
	defer top.Close()
	if names, err := top.Readdirnames(1); err == io.EOF && len(names) == 0 {
		return errEmpty
	}
	return errNoRoot
}

// maxOSRelease bounds what is read of an os-release file, and maxOSName what
// is shown of it.
const (
	maxOSRelease = 64 << 10
	maxOSName    = 80
)

// osName is the PRETTY_NAME of os-release(5) below the open directory top, ""
// if there is none. Absolute links resolve below top, as in the guest.
func osName(top *os.File) string {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		fd, err := unix.Openat2(int(top.Fd()), name, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
		})
		if err != nil {
			continue
		}
		f := os.NewFile(uintptr(fd), name)
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			f.Close()
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, maxOSRelease))
		f.Close()
		if err == nil {
			return prettyName(string(b))
		}
	}
	return ""
}

// prettyName finds PRETTY_NAME, or else NAME, and makes it fit to print.
func prettyName(release string) string {
	var name string
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch {
		case key == "PRETTY_NAME" && value != "":
			return printable(value)
		case key == "NAME":
			name = value
		}
	}
	return printable(name)
}

// printable is a hostile text, fit to be shown, and not too long.
func printable(s string) string {
	s = plain.Text(s)
	for len(s) > maxOSName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}
