package boot

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

// places are where an init may be: first where the kernel looks for it, so
// that what a machine would boot is what the guest boots.
func places() []string {
	return []string{"/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/init"}
}

// Find is the init of the root directory dir. Links in it lead to where the
// guest would see them lead, and never out of it. An error says what is wrong
// with each place at which something is.
func Find(dir string) (Init, error) {
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return Init{}, err
	}
	defer root.Close()
	var wrong []string
	for _, place := range places() {
		kind, err := kindOf(root, place)
		switch {
		case err == nil:
			return Init{Kind: kind, Path: place}, nil
		case !errors.Is(err, fs.ErrNotExist):
			wrong = append(wrong, fmt.Sprintf("%s: %v", place, err))
		}
	}
	e := &container.Error{Err: fmt.Errorf("its image has no init: there is none of %s", strings.Join(places(), ", ")),
		Hint: "use the image of a whole system, or put a static program at /sbin/init"}
	if len(wrong) > 0 {
		e.Err = fmt.Errorf("its image has no init that can run: %s", strings.Join(wrong, "; "))
	}
	return Init{}, e
}

// kindOf looks at the program that the guest has at path.
func kindOf(root *os.File, path string) (Kind, error) {
	f, err := resolve(root, path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("it is not a file")
	case info.Mode()&0o111 == 0:
		return "", errors.New("it is not executable")
	}
	self := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	name, err := os.Readlink(self)
	if err != nil {
		return "", err
	}
	if k := byName(filepath.Base(name)); k != "" {
		return k, nil
	}
	content, err := readProgram(self)
	if err != nil {
		return "", err
	}
	if interpreter, err := interpreterOf(content); err != nil {
		return "", err
	} else if interpreter != "" {
		f, err := resolve(root, interpreter)
		if err != nil {
			return "", fmt.Errorf("its interpreter %s: %v", interpreter, err) // and not that there is no init
		}
		f.Close()
	}
	return byContent(content), nil
}

// resolve opens a path of the guest without opening what is there.
func resolve(root *os.File, path string) (*os.File, error) {
	fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func byName(name string) Kind {
	switch name {
	case "systemd":
		return Systemd
	case "openrc-init":
		return OpenRC
	case "busybox", "toybox":
		return BusyBox
	case "runit", "runit-init":
		return Runit
	}
	return ""
}

// maxProgram is how much of a program is looked at, in bytes.
const maxProgram = 64 << 20

// maxPath is PATH_MAX of the kernel.
const maxPath = 4096

func readProgram(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxProgram))
}

// interpreterOf is the other program that the kernel needs to run this one: of
// a script the one in its first line, of a dynamic program its linker. It is
// "" where there is none.
func interpreterOf(program []byte) (string, error) {
	if line, ok := bytes.CutPrefix(program, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		if words := strings.Fields(string(line)); len(words) > 0 {
			return words[0], nil
		}
		return "", errors.New("its first line names no interpreter")
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", errors.New("it is neither an executable program nor a script")
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < maxPath {
			path, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(path), "\x00"), err
		}
	}
	return "", nil
}

// byContent tells an init with an everyday name by words that it cannot do
// without: those of the protocols that it speaks.
func byContent(program []byte) Kind {
	has := func(word string) bool { return bytes.Contains(program, []byte(word)) }
	script := bytes.HasPrefix(program, []byte("#!"))
	switch {
	case script && has("systemd"):
		return Script
	case !script && has("/initctl") && has("INIT_VERSION"):
		return SysVinit
	case !script && has("BusyBox v"):
		return BusyBox
	case has("NOTIFY_SOCKET") || has("sd_notify"):
		return Notifier
	}
	return Unknown
}

// UpdatePending reports whether systemd in the root dir, or in one to which an
// overlay has dir as its upper layer, will install an update
// before anything else and then reboot, which may take many minutes; see
// systemd.offline-updates(7).
func UpdatePending(dir string) bool {
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	defer root.Close()
	for _, link := range []string{"/system-update", "/etc/system-update"} {
		fd, err := unix.Openat2(int(root.Fd()), link, &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, // it may lead nowhere
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err != nil {
			continue
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFCHR { // that is how an overlay removes a file
			return true
		}
	}
	return false
}
