package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDevices gives a guest nodes of its own users, which work.
func TestDevices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRoot(t, dir)
	own := filepath.Join(dir, "node")
	must(t, unix.Mknod(own, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 7)))) // /dev/full
	must(t, os.Chown(own, 5, 70_000))
	must(t, syscall.Chmod(own, 0o624))
	must(t, os.Symlink(own, own+"-link"))
	r.Devices = []string{"/dev/null", own, own + "-link"}
	isolated(t, func() error {
		m, err := r.Mount()
		if err != nil {
			return err
		}
		if len(m.Devices) != 3 {
			t.Errorf("devices: %q", m.Devices)
			return nil
		}
		for i, want := range []struct {
			minor uint32
			owner [2]int
			mode  fs.FileMode
		}{{3, [2]int{base, base}, 0o666}, {7, [2]int{base + 5, base + 65534}, 0o624}, {7, [2]int{base + 5, base + 65534}, 0o624}} {
			info, err := os.Lstat(m.Devices[i])
			if err != nil {
				return err
			}
			st := info.Sys().(*syscall.Stat_t)
			if st.Rdev != unix.Mkdev(1, want.minor) || owner(m.Devices[i]) != want.owner || info.Mode() != want.mode|fs.ModeDevice|fs.ModeCharDevice {
				t.Errorf("%s is %v, %d, of %v", r.Devices[i], info.Mode(), st.Rdev, owner(m.Devices[i]))
			}
		}
		if err := write(m.Devices[1], "x"); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("the node is no full device: %v", err)
		}
		return nil
	})
}

// TestDevicesOfTheHost gives a guest without a range the host's own.
func TestDevicesOfTheHost(t *testing.T) {
	t.Parallel()
	r := newRoot(t, t.TempDir())
	r.Users, r.Devices = IDs{}, []string{"/dev/null"}
	isolated(t, func() error {
		m, err := r.Mount()
		if err == nil && (len(m.Devices) != 1 || m.Devices[0] != "/dev/null") {
			t.Errorf("devices: %q", m.Devices)
		}
		return err
	})
}

func TestDeviceErrors(t *testing.T) {
	t.Parallel()
	for device, want := range map[string]string{"/dev/nowhere": "no such file", "/etc/passwd": "not a device node", "/dev": "not a device node"} {
		r := newRoot(t, t.TempDir())
		r.Devices = []string{device}
		isolated(t, func() error {
			if _, err := r.Mount(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "allowedDevices: "+device) {
				t.Errorf("%s: %v", device, err)
			}
			return nil
		})
	}
}

// TestOwned has changes that belong to the guest's range already, above an
// image whose owners are mapped, and above one that somebody else changes.
func TestOwned(t *testing.T) {
	t.Parallel()
	for _, unmapped := range []bool{false, true} {
		r := newRoot(t, t.TempDir())
		r.Unmapped, r.Owned = unmapped, true
		must(t, os.Mkdir(r.Changes+"/upper/home", 0o755))
		must(t, os.Chown(r.Changes+"/upper/home", base+7, base+8))
		isolated(t, func() error {
			m, err := r.Mount()
			if err != nil {
				return err
			}
			wantOwners(t, m.Root, map[string][2]int{"home": {base + 7, base + 8}, "usr": {base, base}})
			return nil
		})
		wantOwners(t, r.Changes+"/upper", map[string][2]int{"usr": {base, base}})
	}
}
