package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
)

// debianPackages are what a guest has beyond Debian's minimal system: an init
// with D-Bus and logins, the tools to see its network, and a small web server
// (busybox httpd). The package systemd-container is left out on purpose: its
// var-lib-machines.mount makes a Debian 13 guest a second slower to start.
func debianPackages() []string {
	return []string{
		"systemd", "systemd-sysv", "dbus", "libpam-systemd", "login", "passwd",
		"iproute2", "netbase", "ca-certificates", "busybox",
	}
}

// debianSource bootstraps a suite of Debian. Its digest is that of the stream
// that archive.Write makes of the finished tree.
type debianSource struct {
	suite, mirror string
	tool          func(string) (string, error)
	report        reporter
}

// fingerprint never changes: a bootstrapped image is as good as it was.
func (d debianSource) fingerprint(context.Context) (string, error) { return "suite " + d.suite, nil }

func (d debianSource) fill(ctx context.Context, st *stage) (container.Digest, error) {
	argv, err := d.command(st)
	if err != nil {
		return "", err
	}
	if err := bootstrap(ctx, argv, st.tmp(), d.report); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(st.rootfs())
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := tidy(root); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := archive.Write(ctx, h, root, archive.WriteOptions{}); err != nil {
		return "", err
	}
	return digestOf(h), nil
}

// command is the argv of the bootstrap program that this host has.
func (d debianSource) command(st *stage) ([]string, error) {
	mirror := d.mirror
	if mirror == "" {
		var err error
		if mirror, err = HostMirror(); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(archiveKeyring); err != nil {
		return nil, &container.Error{
			Err:  fmt.Errorf("the keys of Debian's releases are missing: %w", err),
			Hint: "install the package debian-archive-keyring",
		}
	}
	common := []string{
		"--variant=minbase", "--include=" + strings.Join(debianPackages(), ","),
		"--keyring=" + archiveKeyring,
	}
	target := []string{d.suite, st.rootfs(), mirror}
	if p, err := d.tool("mmdebstrap"); err == nil {
		return append(append([]string{p, "--mode=root", "--format=directory"}, common...), target...), nil
	}
	if p, err := d.tool("debootstrap"); err == nil {
		return append(append([]string{p}, common...), target...), nil
	}
	return nil, &container.Error{
		Err:  errors.New("neither mmdebstrap nor debootstrap is installed"),
		Hint: "install the package mmdebstrap",
	}
}

// tidy makes of a system that was just bootstrapped one that many guests
// start from: without a name, an identity, or what the bootstrap needed.
func tidy(root *os.Root) error {
	gone := []string{"etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id", "var/log/bootstrap.log"}
	for _, pattern := range []string{
		"dev/*", "tmp/*", "run/*", "var/tmp/*", "var/lib/apt/lists/*", "var/cache/apt/*.bin",
		"var/cache/apt/archives/*.deb", "var/log/*.log", "var/log/apt/*", "var/cache/debconf/*-old",
	} {
		names, err := fs.Glob(root.FS(), pattern)
		if err != nil {
			return err
		}
		gone = append(gone, names...)
	}
	for _, name := range gone {
		if err := root.RemoveAll(name); err != nil {
			return err
		}
	}
	// An empty file makes each guest take an identity of its own when it
	// first boots; see machine-id(5).
	return root.WriteFile("etc/machine-id", nil, 0o444)
}
