package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Store is a directory of immutable files and trees, such as /nix/store, of
// which a guest sees some. The zero Store is none.
type Store struct {
	Dir string // on the host
	// Names are the entries of Dir that the guest sees, at most one of each.
	Names []string
	Whole bool // it sees all of them, also those to come
	// More are directories beside Dir, of which the guest sees names that no
	// other has.
	More []Store
	Own  *Own // if the guest can change what it sees
}

// shown is the directory in the mounted tree that the guest sees: all else in
// its file system's root is out of the guest's reach.
const shown = "shown"

// storeMode and storeTime are what Nix gives what it stores.
const storeMode = 0o555

func storeTime() unix.Timespec { return unix.Timespec{Sec: 1} }

// mountStore gives the directory for the guest to see as its store, and for
// people what this host cannot do for it. users and layers are as userNamespaces
// gives them.
func (r Root) mountStore(users, layers *os.File) (at, lost string, err error) {
	dir := filepath.Join(r.Dir, "store")
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return "", "", err
	}
	if !r.mapsStore() {
		users = nil
	}
	lost, err = r.Store.clone(source, users)
	switch {
	case err != nil:
		return "", "", err
	case r.Store.Whole:
		return source, lost, nil
	case r.Users.Size != 0 && r.Unmapped:
		lost = "the owner of what is in its store, whom it sees as nobody: this kernel's overlays cannot map owners (Linux 5.19 can)"
	}
	sources := []string{source}
	for i, more := range r.Store.More {
		at := fmt.Sprintf("%s-%d", source, i)
		if err := os.Mkdir(at, 0o755); err != nil {
			return "", "", err
		}
		also, err := more.clone(at, users)
		if err != nil {
			return "", "", err
		}
		lost, sources = cmp.Or(lost, also), append(sources, at)
	}
	at, err = r.mountClosure(dir, sources)
	if err != nil {
		return "", "", fmt.Errorf("store %s: %w", r.Store.Dir, err)
	}
	if r.Store.Own != nil {
		at, err = r.mountOwn(dir, at, layers)
	}
	return at, lost, err
}

// mapsStore reports whether the guest sees its store through its own range:
// one of some names is a layer of an overlay.
func (r Root) mapsStore() bool { return r.Store.Dir != "" && (r.Store.Whole || !r.Unmapped) }

// clone makes the directory appear at the path at, protected. Where its file
// system cannot map owners the guest sees nobody's, which lost tells.
func (s Store) clone(at string, users *os.File) (lost string, err error) {
	const protected = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	err = cloneMount(s.Dir, at, users, protected, 0)
	var cannot *mapError
	if errors.As(err, &cannot) {
		lost = fmt.Sprintf("the owner of what is in its store, whom it sees as nobody: in %s %v", s.Dir, cannot)
		err = cloneMount(s.Dir, at, nil, protected, 0)
	}
	if err != nil {
		return "", fmt.Errorf("store %s: %w", s.Dir, err)
	}
	return lost, nil
}

// mountClosure mounts an overlay of two layers that is read-only for good,
// having none to write to. The lower one is the whole store, or several are
// such. The upper one is made here: a directory with an empty entry for each of the names, which says
// by an extended attribute what of the store is to be seen in its place; see
// "redirect_dir" and "metacopy" in the kernel's overlayfs.rst. That takes three
// system calls a name, and one mount.
func (r Root) mountClosure(dir string, sources []string) (string, error) {
	upper, tree := filepath.Join(dir, "names"), filepath.Join(dir, "tree")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(tree, 0o755)); err != nil {
		return "", err
	}
	// Apart from the root's own tmpfs, whose options are not for this.
	if err := unix.Mount("berth", upper, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return "", fmt.Errorf("mount tmpfs: %w", err)
	}
	if err := r.layNames(filepath.Join(upper, shown)); err != nil {
		return "", err
	}
	lower := "lowerdir=" + escape(upper)
	for _, s := range sources {
		lower += ":" + escape(s)
	}
	options := []string{lower, "redirect_dir=follow", "metacopy=on", "index=off", "nfs_export=off"}
	if err := unix.Mount("berth", tree, "overlay", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, strings.Join(options, ",")); err != nil {
		return "", fmt.Errorf("mount overlay: %w", err)
	}
	return filepath.Join(tree, shown), nil
}

// layNames makes the directory at path with an entry for each of the names.
func (r Root) layNames(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	at, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer at.Close()
	for _, s := range append([]Store{r.Store}, r.Store.More...) {
		store, err := os.OpenFile(s.Dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer store.Close()
		for _, name := range s.Names {
			if err := r.layName(store, int(at.Fd()), path, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return errors.Join(os.Chown(path, r.storeOwner(), r.storeOwner()), syscall.Chmod(path, storeMode),
		unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{storeTime(), storeTime()}, 0))
}

// layName makes one entry in the directory at, which is also called path.
func (r Root) layName(store *os.File, at int, path, name string) error {
	var st unix.Stat_t
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return errors.New("it is not the name of a file")
	}
	if err := unix.Fstatat(int(store.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if err == unix.ENOENT {
			return fs.ErrNotExist
		}
		return err
	}
	file := filepath.Join(path, name)
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err = unix.Mkdirat(at, name, 0o700); err == nil {
			err = unix.Setxattr(file, "trusted.overlay.redirect", []byte("/"+name), unix.XATTR_CREATE)
		}
	case unix.S_IFREG:
		err = layFile(at, name, st)
	case unix.S_IFLNK:
		var to string
		if to, err = os.Readlink(filepath.Join(store.Name(), name)); err == nil {
			err = unix.Symlinkat(to, at, name)
		}
	default:
		err = errors.New("it is neither a directory nor a file nor a link")
	}
	if err != nil {
		return err
	}
	owner := r.storeOwner()
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		err = unix.Fchmodat(at, name, st.Mode&0o7777, 0) // whatever the umask is
	}
	return errors.Join(err, unix.Fchownat(at, name, owner, owner, unix.AT_SYMLINK_NOFOLLOW),
		unix.UtimesNanoAt(at, name, []unix.Timespec{storeTime(), storeTime()}, unix.AT_SYMLINK_NOFOLLOW))
}

// layFile makes an entry for a regular file: of its size, with its content
// elsewhere.
func layFile(at int, name string, st unix.Stat_t) error {
	fd, err := unix.Openat(at, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.Ftruncate(fd, st.Size), unix.Fsetxattr(fd, "trusted.overlay.redirect", []byte("/"+name), 0),
		unix.Fsetxattr(fd, "trusted.overlay.metacopy", nil, 0), unix.Close(fd))
}

// storeOwner is the guest's root on the host, or the host's own where nothing
// is mapped.
func (r Root) storeOwner() int { return int(r.Users.Base) }
