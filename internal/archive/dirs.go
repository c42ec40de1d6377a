package archive

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// openDir is a directory in which entries are being made.
type openDir struct {
	name  string // as entries call it, below the top; "." is the top
	f     *os.File
	depth int           // directories between it and the top
	mtime unix.Timespec // what it gets when it is left
}

func (d openDir) fd() int { return int(d.f.Fd()) }

// dirStack keeps open the directory that the latest entry lies in and those
// above it, and gives each its modification time when it is left. So memory
// is bounded by depth, whatever the order of entries.
type dirStack struct {
	root  *os.Root
	own   func(fd int) error // gives a directory without an entry its owner
	open  []openDir          // never empty, the top first
	stale bool               // something was removed: names may mean other directories now
}

func newDirStack(root *os.Root, own func(int) error) (*dirStack, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	s := &dirStack{root: root, own: own}
	return s, s.push(".", f, 0)
}

func (s *dirStack) top() *openDir { return &s.open[len(s.open)-1] }

// enter opens the directory name, and makes it and its parents where they are
// missing. The result is good until the next call.
func (s *dirStack) enter(name string) (*openDir, error) {
	if s.stale {
		s.stale = false
		if err := s.leaveTo("."); err != nil {
			return nil, err
		}
	}
	if err := s.leaveTo(name); err != nil {
		return nil, err
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(name, s.top().name), "/")
	if s.top().name == "." {
		rest = name
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" || part == "." {
			continue
		}
		if err := s.descend(part); err != nil {
			return nil, err
		}
	}
	return s.top(), nil
}

// descend opens the directory base of the one on top.
func (s *dirStack) descend(base string) error {
	dir, name := s.top(), path.Join(s.top().name, base)
	depth := dir.depth + 1
	fd, err := openDirAt(dir.fd(), base)
	switch err {
	case nil:
	case unix.ENOENT:
		fd, err = s.create(dir.fd(), base)
	case unix.ENOTDIR:
		return s.through(name)
	}
	if err != nil {
		return fmt.Errorf("parent %q: %w", clip(name), err)
	}
	return s.push(name, os.NewFile(uintptr(fd), name), depth)
}

// create makes a directory that has no entry of its own, or not yet.
func (s *dirStack) create(dir int, base string) (int, error) {
	if err := unix.Mkdirat(dir, base, 0o700); err != nil {
		return -1, err
	}
	fd, err := openDirAt(dir, base)
	if err != nil {
		return -1, err
	}
	if err := errors.Join(s.own(fd), unix.Fchmod(fd, 0o755)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// through opens a directory whose last part is a link, or is none at all.
func (s *dirStack) through(name string) error {
	f, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return s.whyNot(name, err)
	}
	depth, err := depthBelow(s.open[0].fd(), int(f.Fd()))
	if err != nil {
		return errors.Join(fmt.Errorf("parent %q: %w", clip(name), err), f.Close())
	}
	return s.push(name, f, depth)
}

// whyNot says why the parent name cannot be opened.
func (s *dirStack) whyNot(name string, cause error) error {
	to, err := s.root.Readlink(name)
	switch {
	case err != nil:
		return fmt.Errorf("parent %q is not a directory", clip(name))
	case errors.Is(cause, unix.ENOENT) || errors.Is(cause, unix.ENOTDIR):
		return fmt.Errorf("parent %q is a link to %q, which is not a directory of the archive", clip(name), clip(to))
	default:
		return fmt.Errorf("parent %q is a link to %q, which %w", clip(name), clip(to), ErrEscapes)
	}
}

// push takes f over, also when it fails.
func (s *dirStack) push(name string, f *os.File, depth int) error {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	if err == nil && depth > maxDepth {
		err = errTooDeep
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.open = append(s.open, openDir{name, f, depth, st.Mtim})
	return nil
}

// leaveTo leaves the directories that are neither name nor above it.
func (s *dirStack) leaveTo(name string) error {
	for len(s.open) > 1 && s.top().name != name && !strings.HasPrefix(name, s.top().name+"/") {
		if err := s.leave(); err != nil {
			return err
		}
	}
	return nil
}

func (s *dirStack) leave() error {
	d := s.top()
	err := setMtime(d.fd(), d.mtime)
	if err != nil {
		err = fmt.Errorf("set time of %q: %w", clip(d.name), err)
	}
	s.open = s.open[:len(s.open)-1]
	return errors.Join(err, d.f.Close())
}

func (s *dirStack) close() error {
	var errs []error
	for len(s.open) > 0 {
		errs = append(errs, s.leave())
	}
	return errors.Join(errs...)
}
