package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Entry is one line of hosts(5).
type Entry struct {
	Address netip.Addr
	Names   []string
}

// File is a file in the form of hosts(5), in which an owner has lines of its
// own between two marks. All others stay as they are.
type File struct {
	Path  string
	Owner string // one word
}

func (f File) begin() string {
	return "# begin " + f.Owner + ": written by berth, changes are lost\n"
}

func (f File) end() string { return "# end " + f.Owner + "\n" }

// Set makes the entries the owner's only ones. Without any the marks go too.
// Readers see the file before or after; owner, mode and links of it stay.
func (f File) Set(entries []Entry) error {
	path, err := filepath.EvalSymlinks(f.Path)
	if errors.Is(err, fs.ErrNotExist) && len(entries) == 0 {
		return nil
	} else if errors.Is(err, fs.ErrNotExist) {
		path = f.Path
	} else if err != nil {
		return err
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	if err := removeStaging(path); err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := f.replace(old, f.block(entries))
	if bytes.Equal(text, old) {
		return nil
	}
	if err := replaceFile(path, text); err != nil {
		return fmt.Errorf("write names of containers: %w", err)
	}
	return nil
}

// Has reports whether the owner has lines in the file, or somebody was killed
// while he wrote it.
func (f File) Has() bool {
	b, err := os.ReadFile(f.Path)
	if err == nil && bytes.Contains(b, []byte(f.begin())) {
		return true
	}
	path, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return false
	}
	_, err = os.Lstat(stagingFile(path))
	return err == nil
}

func (f File) block(entries []Entry) string {
	if len(entries) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(f.begin())
	for _, e := range entries {
		fmt.Fprintf(&b, "%v %s\n", e.Address, strings.Join(e.Names, " "))
	}
	b.WriteString(f.end())
	return b.String()
}

// replace takes the owner's lines out of text, and puts block where they were,
// or at the end. Lines whose second mark is missing, as after somebody's edit,
// end before the first that is none of the owner's.
func (f File) replace(text []byte, block string) []byte {
	var out strings.Builder
	placed, inside := block == "", false
	for line := range strings.Lines(string(text)) {
		switch {
		case line == f.begin():
			inside = true
			if !placed {
				placed = true
				out.WriteString(block)
			}
		case line == f.end():
			inside = false
		case inside && !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "":
		default:
			inside = false
			out.WriteString(line)
		}
	}
	if !placed {
		if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
			out.WriteString("\n")
		}
		out.WriteString(block)
	}
	return []byte(out.String())
}

// lockDir keeps other berths from changing files of a directory meanwhile.
func lockDir(dir string) (unlock func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), d.Close())
	}
	return d.Close, nil
}

// replaceFile gives the file at path another content at once. One that has
// several names, or that something is mounted on, is written over instead.
func replaceFile(path string, text []byte) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.WriteFile(path, text, 0o644)
	} else if err != nil {
		return err
	}
	if links(st) == 1 {
		err := exchange(path, st, text)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return os.WriteFile(path, text, 0)
}

// stagingFile is the file that takes the place of another of its directory,
// which is locked meanwhile.
func stagingFile(path string) string { return filepath.Join(filepath.Dir(path), ".berth-hosts") }

// removeStaging removes what a process left that was killed while it wrote. It
// does not try where there is nothing: the directory may be read-only.
func removeStaging(path string) error {
	if _, err := os.Lstat(stagingFile(path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.Remove(stagingFile(path))
}

// exchange puts a new file in the place of the old one, with all that belongs
// to that.
func exchange(path string, st fs.FileInfo, text []byte) (err error) {
	staging, err := os.OpenFile(stagingFile(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(staging.Name()))
		}
	}()
	_, err = staging.Write(text)
	err = errors.Join(err, likeFile(staging, path, st), staging.Sync(), staging.Close())
	if err != nil {
		return err
	}
	return os.Rename(staging.Name(), path)
}

// likeFile gives a file the owner, the mode and the attributes of another.
func likeFile(f *os.File, path string, st fs.FileInfo) error {
	own := unixStat(st)
	fd := int(f.Fd())
	if err := unix.Fchown(fd, int(own.Uid), int(own.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, own.Mode&0o7777); err != nil {
		return err
	}
	names, err := attributes(path)
	for _, name := range names {
		value := make([]byte, 1<<16)
		n, err := unix.Getxattr(path, name, value)
		if err == nil {
			err = unix.Fsetxattr(fd, name, value[:n], 0)
		}
		if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("attribute %s of %s: %w", name, path, err)
		}
	}
	return err
}

// attributes are the names of the extended attributes of a file.
func attributes(path string) ([]string, error) {
	list := make([]byte, 1<<16)
	n, err := unix.Listxattr(path, list)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	names := strings.Split(string(list[:n]), "\x00")
	return slices.DeleteFunc(names, func(s string) bool { return s == "" }), nil
}

func unixStat(st fs.FileInfo) *syscall.Stat_t { return st.Sys().(*syscall.Stat_t) }

func links(st fs.FileInfo) uint64 { return uint64(unixStat(st).Nlink) }
