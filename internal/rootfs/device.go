package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// mountDevices gives, for each of r.Devices, the node for the guest to see. A
// guest with a range of its own cannot use the host's, which belong to users
// that it does not have: it gets nodes with the same numbers, of its own users.
func (r Root) mountDevices() ([]string, error) {
	if r.Users.Size == 0 || len(r.Devices) == 0 {
		return r.Devices, nil
	}
	dir := filepath.Join(r.Dir, "dev")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("berth", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755"); err != nil {
		return nil, fmt.Errorf("mount tmpfs on %s: %w", dir, err)
	}
	var out []string
	for i, device := range r.Devices {
		at := filepath.Join(dir, strconv.Itoa(i))
		if err := r.makeNode(at, device); err != nil {
			return nil, fmt.Errorf("allowedDevices: %s: %w", device, err)
		}
		out = append(out, at)
	}
	return out, nil
}

// makeNode makes a node at path that is like the host's device.
func (r Root) makeNode(path, device string) error {
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFCHR && kind != unix.S_IFBLK {
		return fmt.Errorf("it is not a device node")
	}
	if err := unix.Mknod(path, st.Mode, int(st.Rdev)); err != nil {
		return err
	}
	if err := os.Chown(path, r.Users.outside(st.Uid), r.Users.outside(st.Gid)); err != nil {
		return err
	}
	return syscall.Chmod(path, st.Mode&0o777) // whatever the umask is
}

// outside is the host's number of the guest's user, or of nobody.
func (u IDs) outside(id uint32) int {
	if id >= u.Size {
		id = min(65534, u.Size-1)
	}
	return int(u.Base + id)
}
