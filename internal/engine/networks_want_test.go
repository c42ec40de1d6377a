package engine

import (
	"io/fs"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/state"
)

// TestWantWithoutIPv6: on a kernel without IPv6, networks have addresses of it only
// where somebody has named them.
func TestWantWithoutIPv6(t *testing.T) {
	t.Parallel()
	named := container.Subnet{Prefix: netip.MustParsePrefix("fd00:20::/64")}
	for _, c := range []struct {
		file error // what is said of the kernel's list of addresses
		spec container.Subnet
		want string
	}{
		{unix.EINVAL, container.Subnet{}, ""}, {unix.EINVAL, named, "fd00:20::/64"},
		{fs.ErrNotExist, container.Subnet{}, "none"}, {fs.ErrNotExist, named, "fd00:20::/64"},
	} {
		e := &Engine{Paths: state.Paths{Root: t.TempDir()}, probe: host.Probe{Readlink: func(string) (string, error) { return "", c.file }}}
		for _, name := range []string{container.DefaultNetwork, "back"} {
			if name == container.DefaultNetwork && c.spec.Prefix.IsValid() {
				continue // named in the host's settings
			}
			w, err := e.want(WantedNetwork{Name: name, Spec: container.NetworkSpec{Subnet6: c.spec}})
			if err != nil || w.Spec.Subnet6.String() != c.want {
				t.Errorf("%s, %v, %q: %q, %v", name, c.file, c.spec, w.Spec.Subnet6, err)
			}
		}
	}
}
