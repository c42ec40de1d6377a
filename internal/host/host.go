package host

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

// Floor is the oldest systemd-nspawn that berth runs on.
const Floor = 252

// Probe asks the system. The functions are fields so that a test can be any
// host.
type Probe struct {
	Release   func() (string, error)                 // the kernel's, as uname -r
	LookPath  func(program string) (string, error)   // as exec.LookPath
	Output    func(program string) ([]byte, error)   // of program --version
	Libraries func(program string) ([]string, error) // that it is linked with
	Readlink  func(path string) (string, error)      // as os.Readlink
}

// System is the Probe of the machine that this program runs on.
func System() Probe {
	return Probe{
		Release:   release,
		LookPath:  exec.LookPath,
		Output:    func(p string) ([]byte, error) { return exec.Command(p, "--version").Output() },
		Libraries: libraries,
		Readlink:  os.Readlink,
	}
}

func release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// Nspawn is a systemd-nspawn program.
type Nspawn struct {
	Path    string
	Version int // such as 252
}

// Nspawn finds systemd-nspawn and its version.
func (p Probe) Nspawn() (Nspawn, error) {
	path, err := p.LookPath("systemd-nspawn")
	if err != nil {
		return Nspawn{}, &container.Error{Err: errors.New("systemd-nspawn is not installed"),
			Hint: "install it: apt install systemd-container (Debian, Ubuntu), dnf install systemd-container (Fedora)"}
	}
	v, err := p.nspawnVersion(path)
	if err != nil {
		return Nspawn{}, err
	}
	if v < Floor {
		err = fmt.Errorf("%s is of systemd %d, berth needs %d or later", path, v, Floor)
	}
	return Nspawn{Path: path, Version: v}, err
}

// nspawnVersion is the version of the systemd that the program is of. It is in
// the name of the library that all programs of one systemd share, which takes
// no process to find out; a program without that library is asked.
func (p Probe) nspawnVersion(path string) (v int, err error) {
	libraries, _ := p.Libraries(path) // a script has none
	for _, l := range libraries {
		if _, err := fmt.Sscanf(l, "libsystemd-shared-%d", &v); err == nil {
			return v, nil
		}
	}
	out, err := p.Output(path)
	if err != nil {
		return 0, fmt.Errorf("%s --version: %w", path, err)
	}
	if _, err := fmt.Sscanf(string(out), "systemd %d", &v); err != nil {
		line, _, _ := strings.Cut(string(out), "\n")
		return 0, fmt.Errorf("%s --version says %q, not a systemd version", path, line)
	}
	return v, nil
}

// libraries are the shared libraries that a program is linked with.
func libraries(program string) ([]string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ImportedLibraries()
}

// SystemdRuns reports whether PID 1 is systemd, in the way of sd_booted(3).
func (p Probe) SystemdRuns() bool {
	_, err := p.Readlink("/run/systemd/system")
	return err == nil || errors.Is(err, unix.EINVAL) // there, and not a link
}

// HasIPv6 reports whether the kernel has IPv6, which ipv6.disable=1 among its
// arguments takes from it.
func (p Probe) HasIPv6() bool {
	_, err := p.Readlink("/proc/net/if_inet6")
	return !errors.Is(err, fs.ErrNotExist)
}
