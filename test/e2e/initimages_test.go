//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/berth-containers/berth/internal/image"
)

// initRecipe is a minimal Debian with an init that is not systemd, or with more
// than berth's own image has.
type initRecipe struct {
	name     string
	packages []string
}

func initRecipes() []initRecipe {
	return []initRecipe{
		{"sysvinit", []string{"sysvinit-core", "busybox-static"}},
		{"openrc", []string{"sysvinit-core", "openrc"}},
		{"runit", []string{"runit-init"}},
		{"ssh", []string{"systemd-sysv", "dbus", "openssh-server", "openssh-client", "iputils-ping", "busybox-static"}},
		{"managers", []string{"systemd-sysv", "dbus", "network-manager", "dhcpcd", "ifupdown", "isc-dhcp-client", "iproute2"}},
	}
}

// initImage is the cached tar file of the recipe with that name.
func initImage(name string) string {
	for _, r := range initRecipes() {
		if r.name == name {
			return r.file()
		}
	}
	panic("there is no recipe " + name)
}

// file is where the image is cached. A changed recipe has another name.
func (r initRecipe) file() string {
	sum := sha256.Sum256([]byte(strings.Join(r.options(), "\n")))
	return filepath.Join(filepath.Dir(cachedImage()), fmt.Sprintf("init-%s-%x.tar", r.name, sum[:4]))
}

// options are those of mmdebstrap(1).
func (r initRecipe) options() []string {
	return []string{
		"--mode=root", "--format=tar", "--variant=minbase", "--include=" + strings.Join(r.packages, ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
	}
}

// cacheInitImages bootstraps the images that are not in the cache, all at
// once.
func cacheInitImages(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(initRecipes()))
	for i, r := range initRecipes() {
		if _, err := os.Stat(r.file()); errors.Is(err, fs.ErrNotExist) {
			all.Go(func() { errs[i] = r.cache(ctx) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r initRecipe) cache(ctx context.Context) error {
	mirror, err := image.HostMirror()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.file()), 0o755); err != nil {
		return err
	}
	staging := fmt.Sprintf("%s.%d.tar", r.file(), os.Getpid())
	defer os.Remove(staging)
	argv := append([]string{"mmdebstrap"}, r.options()...)
	if err := command(ctx, append(argv, "bookworm", staging, mirror)...); err != nil {
		return err
	}
	return os.Rename(staging, r.file())
}
