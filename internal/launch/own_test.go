package launch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/state"
)

// TestOwnStore keeps what earlier systems consisted of for a guest with a store of
// its own, until that has removed all that only they have.
func TestOwnStore(t *testing.T) {
	t.Parallel()
	p, r := newRecord(t)
	path := func(name string) container.StorePath {
		return container.StorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-" + name)
	}
	take := func(system string, others ...string) {
		c := closure.Closure{System: path(system), Dir: "/s", Paths: []container.StorePath{path(system)}}
		for _, o := range others {
			c.Paths = append(c.Paths, path(o))
		}
		must(t, os.MkdirAll(p.System(r.Name), 0o700))
		must(t, state.WriteJSON(filepath.Join(p.System(r.Name), path(system).Base()+".json"), c))
	}
	take("one", "libc-1", "bash")
	take("two", "libc-2", "bash")
	take("three", "libc-2", "bash", "more")
	r.Digest, r.Spec.NixInGuest, r.Spec.Ephemeral = "", container.NixOwn, false
	dir := p.OwnStore(r.Name)
	start := func(system string, names ...string) {
		t.Helper()
		r.System = path(system)
		root, err := rootOf(p, r, true)
		must(t, err)
		var got []string
		for _, n := range root.Store.Names {
			got = append(got, n[33:])
		}
		slices.Sort(got)
		if !slices.Equal(got, names) || root.Store.Own == nil || root.Store.Own.Dir != dir || !slices.Contains(root.Store.Own.Given, r.System.Base()) {
			t.Errorf("%s: %q, %+v", system, got, root.Store.Own)
		}
		seen, err := shown(p, r)
		must(t, err)
		if given, err := state.ReadGiven(dir); err != nil || !slices.Equal(given, append(seen, r.System)) {
			t.Errorf("%s: given %q, shown %q, %v", system, given, seen, err)
		}
	}
	start("one", "bash", "libc-1", "one")
	start("two", "bash", "libc-1", "libc-2", "one", "two")
	for _, name := range []string{"one", "libc-1"} {
		start("three", "bash", "libc-1", "libc-2", "more", "one", "three", "two")
		must(t, os.MkdirAll(dir+"/upper", 0o755))
		must(t, unix.Mknod(filepath.Join(dir, "upper", path(name).Base()), unix.S_IFCHR, 0))
	}
	start("three", "bash", "libc-2", "more", "three", "two")
	must(t, unix.Mknod(filepath.Join(dir, "upper", path("two").Base()), unix.S_IFCHR, 0))
	start("three", "bash", "libc-2", "more", "three")

	r.Spec.Ephemeral = true
	root, err := rootOf(p, r, true)
	if err != nil || root.Store.Own == nil || root.Store.Own.Dir != "" || len(root.Store.Names) != 4 {
		t.Errorf("ephemeral: %+v, %v", root.Store, err)
	}
	var e *container.Error
	if err := placeRegistration(p, r, t.TempDir(), nil); !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("without a registration: %v", err)
	}
}
