// Package nested makes whole machines with systemd as PID 1 inside this one:
// hosts on which berth is tested as its users have it. A host is a tree of a
// Debian release in a directory of its own, booted by systemd-nspawn with every
// capability, in namespaces and a control group of its own. Its systemd sees
// cgroup v2 only, and has no network but its loopback.
//
// What a nested host lacks: modules and sysctls of the kernel are this
// machine's and read-only, and so is /sys; on a machine with controllers in
// cgroup v1, its cgroup v2 has none.
package nested

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
)

// Options say what host to make.
type Options struct {
	Distribution
	Tree  string            // the tar file of its root; see Distribution.Tree
	Dir   string            // where the host's directory is made, not on an overlay
	Binds map[string]string // what of this machine the host sees, read-only, by its path there
	// Memory has all that the host writes in memory, at most so many bytes, where
	// it is not 0. To make and remove many files is cheaper there.
	Memory uint64
}

// Host is a machine inside this one. Its methods are for one goroutine, but
// for Command.
type Host struct {
	Options
	dir     string // all of it, with its lock
	lock    *state.Lock
	group   cgroup.Group
	cgroups cgroup.Hierarchies
	running *machine // nil while it is off
}

// directories of hosts have this in front.
const prefix = "berth-hosts-"

// New unpacks a host. It is off, and has to be closed, whatever happens.
func New(ctx context.Context, o Options) (_ *Host, err error) {
	hierarchies, err := cgroup.Mounted()
	if err != nil {
		return nil, err
	}
	if err := checkFileSystem(o.Dir); err != nil {
		return nil, err
	}
	if err := sweep(o.Dir, hierarchies); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, prefix)
	if err != nil {
		return nil, err
	}
	h := &Host{Options: o, dir: dir, group: groupOf(hierarchies, dir), cgroups: hierarchies}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if h.lock, err = state.TryLock(lockFile(dir)); err != nil {
		return nil, err
	}
	if err := h.makeRoot(); err != nil {
		return nil, err
	}
	if err := errors.Join(h.group.Child(o.Name).Create(), h.weigh()); err != nil {
		return nil, err
	}
	if err := raiseInotify(hierarchies); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "tar", "-C", h.root(), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xf", o.Tree).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w\n%s", o.Tree, err, lastLines(string(out), 5))
	}
	if h.Memory > 0 {
		out, err = exec.CommandContext(ctx, "cp", "-a", "--", filepath.Join(h.root(), systemdState), h.disk()).CombinedOutput()
	}
	if err != nil {
		return nil, fmt.Errorf("copy %s: %w\n%s", systemdState, err, lastLines(string(out), 5))
	}
	return h, nil
}

// systemdState is on a disk also where all else of a host is in memory: systemd
// makes no key for credentials on a file system that does not last.
const systemdState = "/var/lib/systemd"

func (h *Host) disk() string { return filepath.Join(h.dir, "disk") }

func (h *Host) root() string    { return filepath.Join(h.dir, "root") }
func (h *Host) console() string { return filepath.Join(h.dir, "console") }

// makeRoot makes the directory of the host's own files.
func (h *Host) makeRoot() error {
	if err := os.Mkdir(h.root(), 0o755); err != nil || h.Memory == 0 {
		return err
	}
	if err := unix.Mount("berth-host", h.root(), "tmpfs", 0, fmt.Sprintf("mode=755,size=%d", h.Memory)); err != nil {
		return fmt.Errorf("mount %s: %w", h.root(), err)
	}
	return nil
}

// Close switches the host off, gently if it listens, and removes it.
func (h *Host) Close() error {
	var errs []error
	if h.running != nil {
		errs = append(errs, h.PowerOff(context.Background()))
	}
	errs = append(errs, remove(h.dir, h.group), lowerInotify(h.cgroups))
	if h.lock != nil {
		h.lock.Unlock()
	}
	return errors.Join(errs...)
}

// remove removes a host of which nobody is left to switch it off.
func remove(dir string, group cgroup.Group) error {
	if err := group.Kill(10 * time.Second); err != nil {
		return err
	}
	err := unix.Unmount(filepath.Join(dir, "root"), unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // it is not in memory
		err = nil
	}
	return errors.Join(group.Remove(), err, os.RemoveAll(dir))
}

// groupOf is the control group of the host in dir, as if that were a root of
// berth: what berth raises for guests, it does not take from hosts then.
func groupOf(h cgroup.Hierarchies, dir string) cgroup.Group {
	return h.Group(state.Paths{Root: dir}.Instance())
}

func lockFile(dir string) string { return filepath.Join(dir, "lock") }

// sweep removes the hosts below dir whose program was killed. The kernel has
// ended them with it; see startTied.
func sweep(dir string, h cgroup.Hierarchies) error {
	all, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil {
		return err
	}
	for _, d := range all {
		lock, err := state.TryLock(lockFile(d))
		if errors.Is(err, state.ErrLocked) {
			continue
		}
		if err != nil {
			return err
		}
		err = remove(d, groupOf(h, d))
		lock.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// checkFileSystem wants one that overlays can keep their changes on: guests
// inside the host have such roots.
func checkFileSystem(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Errorf("%s is on an overlay, where hosts cannot have guests: use a directory on ext4, XFS or btrfs", dir)
	}
	return nil
}
