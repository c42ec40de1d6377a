package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/plain"
)

// Place is a directory with a directory of journals for each machine, by its
// path in a root directory that nothing leads out of.
type Place struct {
	Root *os.File // a directory, which may be opened O_PATH
	Path string   // such as /var/log/journal
}

// The paths at which journald keeps journals: on disk, and in memory where
// there is no such directory on disk.
const (
	Persistent = "/var/log/journal"
	Volatile   = "/run/log/journal"
)

// What is read of a directory at most.
const (
	maxNames = 8192
	maxFiles = 1024
)

// open opens a file as the guest would see the path, without waiting for a
// pipe and without taking a terminal.
func (p Place) open(name string, flags int, resolve uint64) (*os.File, error) {
	fd, err := unix.Openat2(int(p.Root.Fd()), name, &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Dir opens the directory of one machine's journals. The error matches
// fs.ErrNotExist where there is none.
func (p Place) Dir(machine string) (*os.File, error) {
	return p.open(p.Path+"/"+machine, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// MachineID is what the machine with that root directory has in
// machine-id(5), "" if that is nothing of the kind.
func MachineID(root *os.File) string {
	f, err := Place{Root: root}.open("/etc/machine-id", unix.O_RDONLY, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(f, 64))
	id := strings.TrimSpace(string(b))
	if err != nil || !isID(id) {
		return ""
	}
	return id
}

func isID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// opened is a journal file that is open.
type opened struct {
	*file
	f *os.File
}

// journals opens the journal files of one machine. Those that cannot be read
// are left out; the error tells of them.
func (p Place) journals(machine string) ([]opened, error) {
	dir, err := p.Dir(machine)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxNames)
	if err != nil && err != io.EOF {
		return nil, err
	}
	slices.Sort(names)
	var out []opened
	var errs []error
	for _, name := range names {
		if !strings.HasSuffix(name, ".journal") && !strings.HasSuffix(name, ".journal~") || len(out) >= maxFiles {
			continue
		}
		o, err := openJournal(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, io.EOF): // removed, or being made
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", plain.Text(path.Join(p.Path, machine, name)), err))
		default:
			out = append(out, o)
		}
	}
	return out, errors.Join(errs...)
}

// openJournal opens a file of a directory, if it is a regular one.
func openJournal(dir *os.File, name string) (opened, error) {
	f, err := Place{Root: dir}.open(name, unix.O_RDONLY|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return opened{}, errors.Unwrap(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err == nil {
		var j *file
		if j, err = openFile(f); err == nil {
			return opened{j, f}, nil
		}
	}
	return opened{}, errors.Join(err, f.Close())
}
