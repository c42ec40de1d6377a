package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/state"
)

// Own is what a guest changes in its store: an overlay's upper layer, in the
// directory upper. What is beside it is of no use to others.
type Own struct {
	// Dir is a directory of the host that keeps it, with the guest's own numbers;
	// empty: it is in memory, in a place of Root.Dir that OwnDir tells.
	Dir string
	// Of is a process in whose mount namespace Dir is, where the owners in it are
	// as the host sees them; 0: it is on the host.
	Of int
	// Given are names that the guest sees as they are in the Store, whatever it
	// has made of them.
	Given []string
}

// Stackable is why what a guest has of its own cannot be upon the store in dir; nil
// if it can.
func Stackable(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Errorf("%s is on an overlay itself, and the kernel stacks no more than two", dir)
	}
	return nil
}

// OwnDir is where Mount has the changes in a store that are kept in memory,
// in its mount namespace.
func (r Root) OwnDir() string { return filepath.Join(r.Dir, "store", "own") }

// The names in an Own's directory.
const (
	ownUpper = "upper"
	ownWork  = "work-" // and what makes it a new one
)

// mountOwn mounts an overlay of the store at lower and the guest's changes, in
// the directory dir. It is neither nosuid nor nodev: a guest may not take these
// away, and a Nix in it mounts its store anew without them, to write to it.
//
// The lower layer is not that of mountClosure itself, which redirects: to the
// kernel another one may take its place the next time, under the same upper
// layer, for as long as nothing refers from one to the other.
func (r Root) mountOwn(dir, lower string, layers *os.File) (string, error) {
	own, tree := r.OwnDir(), filepath.Join(dir, "whole")
	if err := errors.Join(os.Mkdir(own, 0o755), os.Mkdir(tree, 0o755)); err != nil {
		return "", err
	}
	if err := r.placeOwn(own, layers); err != nil {
		return "", fmt.Errorf("store of the guest's own: %w", err)
	}
	work, err := os.MkdirTemp(own, ownWork)
	if err != nil {
		return "", err
	}
	options := []string{"lowerdir=" + escape(lower), "upperdir=" + escape(filepath.Join(own, ownUpper)), "workdir=" + escape(work),
		"redirect_dir=nofollow", "metacopy=off", "index=off"}
	if r.Store.Own.Dir == "" {
		options = append(options, "volatile")
	}
	if err := unix.Mount("berth", tree, "overlay", 0, strings.Join(options, ",")); err != nil {
		return "", fmt.Errorf("store of the guest's own: mount overlay: %w", err)
	}
	return tree, r.checkWritable(tree)
}

// placeOwn has the guest's changes appear at the path at, with an upper layer
// that has nothing to say of what is given.
func (r Root) placeOwn(at string, layers *os.File) error {
	own := r.Store.Own
	switch {
	case own.Of != 0:
		if err := moveFrom(own.Of, own.Dir, at); err != nil {
			return err
		}
	case own.Dir != "":
		if err := cloneMount(own.Dir, at, r.changesUsers(layers), 0, 0); err != nil {
			return err
		}
	}
	upper := filepath.Join(at, ownUpper)
	if err := os.Mkdir(upper, 0o755); err == nil {
		err = errors.Join(os.Chown(upper, r.storeOwner(), r.storeOwner()), os.Chmod(upper, storeMode|0o200|fs.ModeSticky))
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	has := map[string]bool{}
	entries, err := os.ReadDir(upper)
	if err != nil {
		return err
	}
	for _, e := range entries {
		has[e.Name()] = true
	}
	for _, name := range own.Given {
		if !has[name] {
			continue
		}
		if err := state.RemoveTree(filepath.Join(upper, name)); err != nil {
			return err
		}
	}
	return nil
}

// moveFrom has what is at the path dir of a process's mount namespace appear at
// the path at of this one.
func moveFrom(pid int, dir, at string) error {
	fd := -1
	err := namespace.InMounts(pid, func() (err error) {
		fd, err = unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		return os.NewSyscallError("open_tree", err)
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return os.NewSyscallError("move_mount", unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// ClearOwn removes what earlier mounts of the changes in dir have left, of which
// none is there any more, and makes dir where it is missing.
func ClearOwn(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(dir, ownWork+"*"))
	for _, work := range left {
		err = errors.Join(err, state.RemoveTree(work))
	}
	return err
}

// Whiteouts are the names of a store that its guest has removed.
func Whiteouts(own Own) (map[string]bool, error) {
	var entries []os.DirEntry
	read := func() (err error) {
		entries, err = os.ReadDir(filepath.Join(own.Dir, ownUpper))
		return err
	}
	if own.Of != 0 {
		inner := read
		read = func() error { return namespace.InMounts(own.Of, inner) }
	}
	err := read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := map[string]bool{}
	for _, e := range entries {
		if e.Type()&fs.ModeCharDevice != 0 { // with the number 0:0; see the kernel's overlayfs.rst
			out[e.Name()] = true
		}
	}
	return out, nil
}
