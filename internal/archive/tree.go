package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// node is one file of a tree that is being walked.
type node struct {
	name string // below the top; "." is the top
	stat unix.Stat_t
	dir  int    // the open directory that holds it
	base string // its name there
}

func (n *node) kind() uint32 { return n.stat.Mode & unix.S_IFMT }

// inode tells hard links apart from copies.
type inode struct{ dev, ino uint64 }

func (n *node) inode() inode { return inode{uint64(n.stat.Dev), n.stat.Ino} }

// sameMount makes openat2(2) refuse links and mount points.
const sameMount = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV

// open opens a regular file or a directory. The error is EXDEV where
// something is mounted, and ENOENT or ELOOP where the file has changed.
func (n *node) open(flags uint64) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat2(n.dir, n.base, &unix.OpenHow{
			Flags:   flags | unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
			Resolve: sameMount,
		})
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), n.name), nil
}

// readlink reads a symbolic link.
func (n *node) readlink() (string, error) {
	b := make([]byte, maxPath+1)
	size, err := unix.Readlinkat(n.dir, n.base, b)
	if err != nil {
		return "", os.NewSyscallError("readlink", err)
	}
	return string(b[:size]), nil
}

// walk visits root and everything below it on the same mount, directories
// before their content, sorted by the bytes of the names. A directory on
// which something is mounted counts as empty. What vanishes meanwhile is left
// out.
func walk(ctx context.Context, root *os.Root, visit func(*node) error) error {
	top, err := root.Open(".")
	if err != nil {
		return err
	}
	defer top.Close()
	n := &node{name: ".", dir: int(top.Fd()), base: "."}
	if err := unix.Fstat(n.dir, &n.stat); err != nil {
		return os.NewSyscallError("stat", err)
	}
	return walkNode(ctx, n, 0, visit)
}

func walkNode(ctx context.Context, n *node, depth int, visit func(*node) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := visit(n); err != nil || n.kind() != unix.S_IFDIR {
		return err
	}
	if depth == maxDepth {
		return fmt.Errorf("%q: %w", clip(n.name), errTooDeep)
	}
	f, err := n.open(unix.O_DIRECTORY)
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("%q: open: %w", clip(n.name), err)
	}
	defer f.Close()
	return walkEntries(ctx, f, n.name, depth+1, visit)
}

func walkEntries(ctx context.Context, f *os.File, name string, depth int, visit func(*node) error) error {
	names, err := f.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("%q: list: %w", clip(name), cause(err))
	}
	slices.Sort(names)
	for _, base := range names {
		n := &node{name: path.Join(name, base), dir: int(f.Fd()), base: base}
		err := unix.Fstatat(n.dir, base, &n.stat, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case err == unix.ENOENT:
			continue
		case err != nil:
			return fmt.Errorf("%q: stat: %w", clip(n.name), err)
		}
		if err := walkNode(ctx, n, depth, visit); err != nil {
			return err
		}
	}
	return nil
}
