package nested

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/berth-containers/berth/internal/image"
)

// Distribution is what a host is made of.
type Distribution struct {
	Name  string // such as "debian12"
	Suite string // of the Debian archive, such as "bookworm"
	// Managers says that the host has all that manages networks and firewalls on
	// servers, none of it enabled, and udev.
	Managers bool
}

// Distributions are those that hosts can be made of, the oldest first.
func Distributions() []Distribution {
	return []Distribution{
		{Name: "debian12", Suite: "bookworm"}, {Name: "debian13", Suite: "trixie"}, {Name: "sid", Suite: "sid"},
		{Name: "managers12", Suite: "bookworm", Managers: true}, {Name: "managers13", Suite: "trixie", Managers: true},
	}
}

// packages are a server with systemd, and what berth and its tests use there.
var packages = []string{
	"systemd", "systemd-sysv", "systemd-container", "dbus", "libpam-systemd", "udev", "login", "passwd", "procps", "util-linux",
	"iproute2", "nftables", "ca-certificates", "xz-utils", "zstd", "rpm",
}

// managers are those of networks and firewalls.
var managers = []string{
	"systemd-resolved", "network-manager", "ufw", "firewalld", "docker.io", "iptables", "isc-dhcp-server", "dnsmasq-base", "ifupdown",
}

// disableManagers leaves no manager enabled, and lets udev have the links of
// the host, which wants a /sys that can be written: a host with managers is one
// with udev.
const disableManagers = `
chroot "$1" systemctl disable --quiet systemd-networkd systemd-resolved NetworkManager ufw firewalld docker docker.socket containerd networking isc-dhcp-server nftables 2>&1
cat >"$1/etc/systemd/system/writable-sys.service" <<'EOF'
[Unit]
DefaultDependencies=no
Before=systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
[Service]
Type=oneshot
ExecStart=mount -o remount,rw /sys
ExecStart=mount -o remount,rw /sys/devices
[Install]
WantedBy=sysinit.target
EOF
chroot "$1" systemctl enable --quiet writable-sys.service
`

// recipe is the command that writes the tree of d as a tar file to its
// standard output.
func (d Distribution) recipe(mirror string) []string {
	packages, hooks := packages, []string(nil)
	if d.Managers {
		packages, hooks = slices.Concat(packages, managers), []string{"--customize-hook=" + disableManagers}
	}
	return slices.Concat([]string{
		"mmdebstrap", "--quiet", "--mode=root", "--format=tar", "--variant=minbase",
		"--include=" + strings.Join(packages, ","),
		"--aptopt=Acquire::Languages \"none\"",
		"--aptopt=Acquire::Check-Valid-Until \"false\"", // a mirror may be a snapshot, older than its suite likes
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		// A machine that comes up for the first time takes an identity.
		"--customize-hook=: >\"$1/etc/machine-id\"; rm -f \"$1/etc/hostname\" \"$1/etc/resolv.conf\"",
	}, hooks, []string{d.Suite, "-", mirror})
}

// Tree returns the path of d's tree as a tar file below the directory cache.
// It makes it, which takes half a minute, if it is not there, or was made in
// another way.
func (d Distribution) Tree(ctx context.Context, cache string) (string, error) {
	key := sha256.Sum256([]byte(strings.Join(d.recipe(""), "\x00")))
	path := filepath.Join(cache, fmt.Sprintf("host-%s-%x.tar", d.Name, key[:4]))
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	old, err := filepath.Glob(filepath.Join(cache, "host-"+d.Name+"-*.tar"))
	if err != nil {
		return "", err
	}
	if err := d.build(ctx, path); err != nil {
		return "", fmt.Errorf("build %s: %w", d.Name, err)
	}
	for _, o := range old {
		err = errors.Join(err, os.Remove(o))
	}
	return path, err
}

func (d Distribution) build(ctx context.Context, path string) (err error) {
	mirror, err := image.HostMirror()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+d.Name+"-")
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(f.Name()) // in vain where all went well
	argv := d.recipe(mirror)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said tail
	cmd.Stdout, cmd.Stderr = f, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second // to unmount and to remove its tree
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", argv[0], errors.Join(err, context.Cause(ctx)), said.Lines(20))
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Rename(f.Name(), path))
}
