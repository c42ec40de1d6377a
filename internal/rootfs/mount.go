package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
)

// Root is a guest's root file system.
type Root struct {
	Dir     string // an empty directory on which everything is mounted
	Image   string // the read-only tree; empty: the guest starts from nothing
	Changes string // where changes are kept, as upper/ and work/; empty: in memory
	Tree    string // what the guest starts from and changes, instead of Image and Changes
	Users   IDs
	Binds   []Bind
	Devices []string // device nodes of the host
	Store   Store
	// Dirs are directories that a guest which starts from nothing finds, as its
	// root's: systemd-nspawn would make those that it mounts on as nobody's. One
	// comes before those in it.
	Dirs []string
	// Unmapped is for kernels without id-mapped overlay layers: the layers are
	// used as they are, and somebody has to change the owners in the root.
	Unmapped bool
	// Owned says that the owners in Changes have been changed to the guest's
	// range, so that they are used as they are.
	Owned bool
}

// IDs maps the guest's user and group numbers 0 to Size-1 to Base and up on
// the host. Size 0 maps nothing.
type IDs struct{ Base, Size uint32 }

func (u IDs) extent() namespace.Extent {
	return namespace.Extent{Inside: 0, Outside: u.Base, Count: u.Size}
}

// Bind is a file or directory of the host for the guest to see.
type Bind struct {
	Source   string // on the host
	Target   string // in the guest
	ReadOnly bool
}

// Mounted says where the pieces of a root are.
type Mounted struct {
	Root  string   // the root directory for systemd-nspawn
	Binds []string // for each Bind of the Root, the mount to bind
	// Devices are, for each of the Root's, the node to bind.
	Devices []string
	Store   string   // the directory to bind as the guest's store, if there is a Store
	Lost    []string // for people: what the host's file systems cannot do
}

// Isolate makes what this mount namespace mounts invisible to the host, which
// still reaches it with its own mounts. The process must be alone in its mount
// namespace.
func Isolate() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("isolate mounts: %w", err)
	}
	return nil
}

// Hide mounts an empty file system over a directory, which it makes, so that
// what is put there ends with the mount namespace.
func Hide(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("berth", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", dir, err)
	}
	return nil
}

// Uncover unmounts what is mounted on these directories, in this mount
// namespace. Those that are none, or nothing is on, are left alone.
func Uncover(dirs ...string) error {
	var errs []error
	for _, dir := range dirs {
		err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && err != unix.EINVAL && err != unix.ENOENT {
			errs = append(errs, fmt.Errorf("unmount %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// Mount assembles r. On an error the mounts made so far stay until the mount
// namespace ends.
func (r Root) Mount() (Mounted, error) {
	m := Mounted{Root: filepath.Join(r.Dir, "root")}
	if err := unix.Mount("berth", r.Dir, "tmpfs", unix.MS_NODEV, "mode=0755"); err != nil {
		return m, fmt.Errorf("mount tmpfs on %s: %w", r.Dir, err)
	}
	users, layers, err := r.userNamespaces()
	if err != nil {
		return m, err
	}
	defer users.Close() // of no file, where it is not needed
	defer layers.Close()
	if err := r.mountRoot(m.Root, layers); err != nil {
		return m, err
	}
	for i, b := range r.Binds {
		at := filepath.Join(r.Dir, "bind", strconv.Itoa(i))
		lost, err := b.mount(at, users)
		if err == nil {
			err = b.anchor(at, m.Root, r.rootOwner())
		}
		if err != nil {
			return m, fmt.Errorf("bindMounts.%s: %w", b.Target, err)
		}
		m.Binds = append(m.Binds, at)
		if lost != "" {
			m.Lost = append(m.Lost, lost)
		}
	}
	if r.Store.Dir != "" {
		var lost string
		if m.Store, lost, err = r.mountStore(users, layers); err != nil {
			return m, err
		}
		if lost != "" {
			m.Lost = append(m.Lost, lost)
		}
	}
	m.Devices, err = r.mountDevices()
	return m, err
}

// userNamespaces are the guest's range as a namespace, for its bind mounts and
// its store, and the same for the layers of its overlay; nil where it is not
// needed.
//
// An overlay works on its layers, and systemd-nspawn on the root, as the
// host's root. Through a mount with the guest's range alone that has no
// number and could create nothing: in the layers it has the one behind the
// guest's last.
func (r Root) userNamespaces() (users, layers *os.File, err error) {
	if r.Users.Size == 0 {
		return nil, nil, nil
	}
	guest := r.Users.extent()
	if len(r.Binds) > 0 || r.mapsStore() {
		if users, err = namespace.NewUser(guest); err != nil {
			return nil, nil, err
		}
	}
	if r.Unmapped {
		return users, nil, nil
	}
	if layers, err = namespace.NewUser(guest, namespace.Extent{Inside: r.Users.Size, Outside: 0, Count: 1}); err != nil {
		users.Close()
		return nil, nil, err
	}
	return users, layers, nil
}

// mountRoot mounts the root at target, with what systemd-nspawn wants in it.
func (r Root) mountRoot(target string, layers *os.File) error {
	if r.Image != "" {
		if err := r.mountOverlay(target, layers); err != nil {
			return err
		}
		if r.Users.Size != 0 && r.Store.Dir == "" {
			if err := freeStore(target); err != nil {
				return fmt.Errorf("store of the image: %w", err)
			}
		}
		return anchor(target, r.rootOwner())
	}
	if err := r.mountBare(target, layers); err != nil {
		return err
	}
	if err := anchor(target, r.rootOwner()); err != nil {
		return err
	}
	return anchorNew(target, r.Dirs, r.rootOwner())
}

// mountOverlay mounts the image and the changes on it at target.
func (r Root) mountOverlay(target string, users *os.File) error {
	lower, changes := filepath.Join(r.Dir, "lower"), filepath.Join(r.Dir, "changes")
	for _, d := range []string{target, lower, changes} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := cloneMount(r.Image, lower, users, unix.MOUNT_ATTR_RDONLY, 0); err != nil {
		return fmt.Errorf("image %s: %w", r.Image, err)
	}
	options := []string{"lowerdir=" + escape(lower), "redirect_dir=off", "metacopy=off", "index=off"}
	if r.Changes == "" {
		if err := r.changesInMemory(changes); err != nil {
			return err
		}
		options = append(options, "volatile")
	} else if err := cloneMount(r.Changes, changes, r.changesUsers(users), 0, 0); err != nil {
		return fmt.Errorf("changes %s: %w", r.Changes, err)
	}
	options = append(options, "upperdir="+escape(changes+"/upper"), "workdir="+escape(changes+"/work"))
	if err := unix.Mount("berth", target, "overlay", unix.MS_NODEV, strings.Join(options, ",")); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return r.checkWritable(target)
}

// mountBare mounts the changes alone at target, which is all there is of a
// guest that starts from nothing.
func (r Root) mountBare(target string, layers *os.File) error {
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	tree := r.Tree
	if tree == "" && r.Changes != "" {
		tree = filepath.Join(r.Changes, "upper")
	}
	if tree != "" {
		err := cloneMount(tree, target, r.changesUsers(layers), unix.MOUNT_ATTR_NODEV, 0)
		switch {
		case errors.As(err, new(*mapError)):
			return fmt.Errorf("changes %s: %w; move it to one that can, such as ext4, or set privateUsers: no", tree, err)
		case err != nil:
			return fmt.Errorf("changes %s: %w", tree, err)
		}
		return nil
	}
	if err := unix.Mount("berth", target, "tmpfs", unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", target, err)
	}
	return os.Chown(target, r.rootOwner(), r.rootOwner())
}

// rootOwner is the guest's root as the files in the assembled root have it.
func (r Root) rootOwner() int {
	if r.Unmapped && !r.Owned {
		return 0 // nspawn gives everything to the guest's range
	}
	return int(r.Users.Base)
}

func (r Root) changesUsers(layers *os.File) *os.File {
	if r.Owned {
		return nil
	}
	return layers
}

// checkWritable fails where overlayfs could not use the directory for changes:
// it then mounts read-only and tells only the kernel's log.
func (r Root) checkWritable(target string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(target, &st); err != nil {
		return err
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("mount overlay: the kernel cannot keep changes in %s; its log says why (dmesg)", cmp.Or(r.Changes, "memory"))
	}
	return nil
}

// changesInMemory makes the directories of an overlay on the tmpfs. Their
// owner is the guest's root as the host sees it.
func (r Root) changesInMemory(dir string) error {
	if err := MakeChanges(dir); err != nil {
		return err
	}
	return os.Chown(dir+"/upper", int(r.Users.Base), int(r.Users.Base))
}

// MakeChanges makes the directories in which an overlay keeps changes, below
// dir, which exists.
func MakeChanges(dir string) error {
	return errors.Join(os.Mkdir(dir+"/upper", 0o755), os.Mkdir(dir+"/work", 0o755))
}

// escape protects a path from the option parser of overlayfs.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`).Replace(path)
}

// cloneMount makes the mount of source appear at target, with its owners
// mapped through users unless that is nil. flags are AT_RECURSIVE or 0.
func cloneMount(source, target string, users *os.File, attr uint64, flags uint) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a := unix.MountAttr{Attr_set: attr, Propagation: unix.MS_PRIVATE}
	if users != nil {
		a.Attr_set |= unix.MOUNT_ATTR_IDMAP
		a.Userns_fd = uint64(users.Fd())
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|flags, &a); err != nil {
		if users != nil {
			return &mapError{err}
		}
		return fmt.Errorf("set mount attributes: %w", err)
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mapError says that a file system cannot map owners.
type mapError struct{ err error }

func (e *mapError) Error() string {
	return "its file system cannot map owners (id-mapped mount): " + e.err.Error()
}

func (e *mapError) Unwrap() error { return e.err }
