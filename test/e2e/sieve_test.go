//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/state"
)

// TestSieve: the init of a guest has the same filters, in the same order,
// whoever has installed them.
func TestSieve(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	kept := (state.Paths{Root: b.root}).Sieves()
	for i, settings := range [][]string{
		nil,
		{"privateNetwork=true", "systemCallFilter=[bpf, '@keyring']"},
		{"additionalCapabilities=[CAP_SYS_TIME, CAP_NET_ADMIN]", "privateUsers=no"},
	} {
		for _, image := range []string{debian(), tiny()} {
			must(t, os.RemoveAll(kept))
			name := fmt.Sprintf("s%d", i)
			b.run(append([]string{"create", name, "--image", image, "--start"}, settings...)...)
			want := b.confinement(name)
			compiled(b, name, true)
			b.run("restart", name)
			if diff := cmp.Diff(want, b.confinement(name)); diff != "" {
				t.Errorf("%v: -by systemd-nspawn +by berth\n%s", settings, diff)
			}
			compiled(b, name, filteredSelf(t))
			b.run("destroy", name, "--yes")
		}
	}
}

// TestSieveDoubts: systemd-nspawn compiles anew where it is not certain that
// what is kept is right for the guest, or that berth may install it.
func TestSieveDoubts(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", tiny(), "--start")
	want := b.confinement("web")
	kept, err := filepath.Glob(filepath.Join((state.Paths{Root: b.root}).Sieves(), "*.json"))
	must(t, err)
	if filteredSelf(t) {
		is(t, "what is kept below a filter", len(kept), 0)
		return
	}
	is(t, "what is kept", len(kept), 1)
	whole := b.read(kept[0])
	b.run("restart", "web")
	compiled(b, "web", false)
	for what, spoilt := range map[string]string{
		"cut": whole[:len(whole)/2], "empty": "", "with other filters": strings.Replace(whole, `"sieve": "`, `"sieve": "AQAAAAYAAAAAAP9/`, 1),
		"of another library": strings.Replace(whole, `libseccomp.so`, `libc.so`, 1),
	} {
		must(t, os.WriteFile(kept[0], []byte(spoilt), 0o600))
		b.run("restart", "web")
		if diff := cmp.Diff(want, b.confinement("web")); diff != "" {
			t.Errorf("%s: -before +after\n%s", what, diff)
		}
		compiled(b, "web", true)
		is(t, "what is kept after one "+what, b.read(kept[0]), whole)
	}
	for i, settings := range []string{"dropCapabilities=[CAP_SYS_ADMIN]", "systemCallFilter=['~@swap']", "extraFlags=[--no-new-privileges=yes]"} {
		name := fmt.Sprintf("odd%d", i)
		b.run("create", name, "--image", tiny(), "--start", settings)
		for range 2 {
			compiled(b, name, true)
			if len(b.confinement(name).Filters) == 0 {
				t.Errorf("%s: there are no filters", settings)
			}
			b.run("restart", name)
		}
	}
}

// filteredSelf reports whether these tests run below a filter, where those of
// other processes cannot be read.
func filteredSelf(t *testing.T) bool {
	t.Helper()
	has, err := namespace.Filtered()
	must(t, err)
	return has
}

// confined is what keeps the init of a guest in.
type confined struct {
	Filters [][]unix.SockFilter
	Status  []string // the lines of /proc/PID/status that tell
}

func (b *berth) confinement(name string) confined {
	b.Helper()
	leader := b.status(name).Leader
	filters, err := namespace.PlainFilters(b.Context(), leader)
	must(b, err)
	c := confined{Filters: filters}
	for line := range strings.Lines(b.read(fmt.Sprintf("/proc/%d/status", leader))) {
		for _, key := range []string{"Seccomp", "NoNewPrivs", "Speculation", "Cap", "SigIgn"} { // the masks of a Go program's threads are not its own
			if strings.HasPrefix(line, key) {
				c.Status = append(c.Status, line)
			}
		}
	}
	return c
}

// compiled holds that the container's systemd-nspawn has compiled filters, or
// has left that to berth.
func compiled(b *berth, name string, want bool) {
	b.Helper()
	environ := b.read(fmt.Sprintf("/proc/%d/environ", b.nspawn(name)))
	is(b, name+": systemd-nspawn compiles", !strings.Contains(environ, "SYSTEMD_SECCOMP=0\x00"), want)
}
