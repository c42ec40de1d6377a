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
	"strings"
	"syscall"
	"time"

	"github.com/berth-containers/berth/internal/image"
)

// Distribution is what a host is made of.
type Distribution struct {
	Name  string // such as "debian12"
	Suite string // of the Debian archive, such as "bookworm"
}

// Distributions are those that hosts can be made of, the oldest first.
func Distributions() []Distribution {
	return []Distribution{{"debian12", "bookworm"}, {"debian13", "trixie"}, {"sid", "sid"}}
}

// packages are a server with systemd, and what berth and its tests use there.
var packages = []string{
	"systemd", "systemd-sysv", "systemd-container", "dbus", "libpam-systemd", "udev", "login", "passwd", "procps", "util-linux",
	"iproute2", "nftables", "ca-certificates", "xz-utils", "zstd", "rpm",
}

// recipe is the command that writes the tree of d as a tar file to its
// standard output.
func (d Distribution) recipe(mirror string) []string {
	return []string{
		"mmdebstrap", "--quiet", "--mode=root", "--format=tar", "--variant=minbase",
		"--include=" + strings.Join(packages, ","),
		"--aptopt=Acquire::Languages \"none\"",
		"--aptopt=Acquire::Check-Valid-Until \"false\"", // a mirror may be a snapshot, older than its suite likes
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		// A machine that comes up for the first time takes an identity.
		"--customize-hook=: >\"$1/etc/machine-id\"; rm -f \"$1/etc/hostname\" \"$1/etc/resolv.conf\"",
		d.Suite, "-", mirror,
	}
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
