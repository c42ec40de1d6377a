package nixos

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare/conf"
	"github.com/berth-containers/berth/internal/state"
)

const (
	one = container.StorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-1")
	two = container.StorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-2")
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file below a root.
func write(t *testing.T, p state.Paths, path, text string) string {
	t.Helper()
	file := filepath.Join(p.Root, path)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

func TestNames(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: t.TempDir()}
	if names, err := Names(p); err != nil || len(names) > 0 {
		t.Errorf("of nothing: %q, %v", names, err)
	}
	for path, text := range map[string]string{
		"etc/nixos-containers/web.conf":       "PRIVATE_NETWORK=1\n",
		"etc/nixos-containers/empty.conf":     "",
		"etc/nixos-containers/.web.conf.new":  "",
		"etc/nixos-containers/.hidden.conf":   "",
		"etc/nixos-containers/web.nix":        "",
		"etc/nixos-containers/odd.name.conf":  "",
		"etc/containers/old.conf":             "SYSTEM_PATH=/nix/store/x\n",
		"etc/containers/web.conf":             "AUTO_START=1\n",
		"etc/containers/containers.conf":      "[containers]\nlog_driver = \"journald\"\n",
		"etc/containers/registries.conf":      "unqualified-search-registries = [\"docker.io\"]\n",
		"etc/containers/storage.conf":         "[storage]\ndriver = \"overlay\"\nA=b\n",
		"etc/containers/registries.conf.d/x":  "",
		"etc/containers/policy.json":          "{}",
		"etc/nixos-containers/web/extra.conf": "",
	} {
		write(t, p, path, text)
	}
	must(t, os.Symlink("/nix/store/none", filepath.Join(p.Root, "etc/nixos-containers/gone.conf")))
	names, err := Names(p)
	if want := []string{"empty", "gone", "odd.name", "old", "web"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v, want %q", names, err, want)
	}
	for n, want := range map[container.Name]string{"web": "etc/nixos-containers/web.conf var/lib/nixos-containers/web", "old": "etc/containers/old.conf var/lib/containers/old"} {
		place, err := Find(p, n)
		if got := strings.ReplaceAll(place.Conf+" "+place.Root, p.Root+"/", ""); err != nil || got != want {
			t.Errorf("%s: %s, %v", n, got, err)
		}
		if at, ok := At(p, place.Conf); !ok || at != place {
			t.Errorf("%s: at %s is %+v", n, place.Conf, at)
		}
	}
	for _, n := range []container.Name{"containers", "storage", "gone", "nobody"} {
		if _, err := Find(p, n); !errors.Is(err, container.ErrNotFound) {
			t.Errorf("%s: %v", n, err)
		}
	}
	for _, path := range []string{"/etc/berth/web.conf", p.Root + "/etc/nixos-containers/web.nix", p.Root + "/etc/nixos-containers/-.conf", ""} {
		if place, ok := At(p, path); ok {
			t.Errorf("%s is %+v", path, place)
		}
	}
}

// TestProfile makes the profile that nix-env --set would.
func TestProfile(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: t.TempDir()}
	place := New(p, "web")
	if s, err := place.System(); err == nil {
		t.Errorf("of nothing: %s", s)
	}
	for i, c := range []struct {
		set  container.StorePath
		want string
	}{{one, "system-1-link"}, {one, "system-1-link"}, {two, "system-2-link"}, {one, "system-3-link"}} {
		must(t, place.SetSystem(c.set))
		s, err := place.System()
		if to, _ := os.Readlink(place.SystemLink()); err != nil || s != c.set || to != c.want {
			t.Errorf("%d: %s by %s, %v, want %s", i, s, to, err, c.want)
		}
	}
	must(t, os.Remove(place.SystemLink())) // nix-env --rollback
	must(t, os.Symlink(filepath.Join(place.Profile, "system-2-link"), place.SystemLink()))
	if s, err := place.System(); err != nil || s != two {
		t.Errorf("after a rollback: %s, %v", s, err)
	}
	must(t, os.Symlink("none", filepath.Join(place.Profile, "system-9223372036854775807-link"))) // by a guest
	must(t, place.SetSystem(one))
	must(t, place.SetSystem(two))
	if to, err := os.Readlink(place.SystemLink()); to != "system-5-link" {
		t.Errorf("beside an absurd generation: %s, %v", to, err)
	}
	for dir, want := range map[string]os.FileMode{filepath.Dir(place.Profile): 0o700, place.Profile: 0o755} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	if place.UsesNix() {
		t.Error("nobody has used Nix in the guest")
	}
	must(t, os.Mkdir(place.Profile+"/per-user", 0o755))
	if !place.UsesNix() {
		t.Error("the guest has profiles of its own")
	}
}

func TestDeclared(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: t.TempDir()}
	place := New(p, "web")
	write(t, p, "etc/nixos-containers/web.conf", "FLAKE=/x\n")
	if _, err := place.Declared(); err == nil || !strings.Contains(err.Error(), "no system has been built") {
		t.Errorf("without a system: %v", err)
	}
	must(t, place.SetSystem(one))
	if d, err := place.Declared(); err != nil || d.Spec.System != string(one) {
		t.Errorf("%q, %v", d.Spec.System, err)
	}
	write(t, p, "etc/nixos-containers/web.conf", "SYSTEM_PATH="+string(two)+"\n")
	if d, err := place.Declared(); err != nil || d.Spec.System != string(two) {
		t.Errorf("%q, %v", d.Spec.System, err)
	}
	write(t, p, "etc/nixos-containers/web.conf", "A=1\nHOST_BRIDGE=a/b\n")
	if _, err := place.Declared(); err == nil || !strings.Contains(err.Error(), place.Conf+":2:1: hostBridge") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestWriteAndRemove(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: t.TempDir()}
	place := New(p, "web")
	all := []conf.Assignment{{Key: conf.PrivateNetwork, Value: "1"}, {Key: conf.Flake, Value: "/a b#c"}}
	for range 2 {
		must(t, place.Write(all))
	}
	if text, err := os.ReadFile(place.Conf); err != nil || string(text) != "PRIVATE_NETWORK=1\nFLAKE=\"/a b#c\"\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := place.Write([]conf.Assignment{{Key: "A", Value: "b\nC=d"}}); err == nil {
		t.Error("a line break was written")
	}
	undo := place.Undo()
	must(t, errors.Join(place.MakeRoot(), place.MakeRoot(), place.SetSystem(one), undo()))
	for _, path := range []string{place.Root, place.Profile} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	must(t, errors.Join(place.MakeRoot(), place.SetSystem(one), os.MkdirAll(place.GCRoots, 0o755)))
	must(t, place.Undo()()) // of what was there already
	if _, err := os.Lstat(place.Root); err != nil {
		t.Error(err)
	}
	for owner, want := range map[int]uint32{0: 0, 7: 0, 0x2a0000: 0x2a0000, 0x2a0007: 0} {
		must(t, os.Chown(place.Root, owner, owner))
		if base, err := place.Shifted(); base != want || err != nil {
			t.Errorf("of %d: shifted by %d, %v", owner, base, err)
		}
	}
	for range 2 {
		must(t, place.Remove())
	}
	for _, path := range []string{place.Conf, place.Root, place.Profile, place.GCRoots} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

func TestDeclarative(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: t.TempDir()}
	file := write(t, p, "etc/nixos-containers/web.conf", "")
	if New(p, "web").Declarative() {
		t.Error("a file of its own is declarative")
	}
	must(t, os.Symlink(file, filepath.Join(filepath.Dir(file), "alias.conf")))
	if New(p, "alias").Declarative() {
		t.Error("a link to a file outside of the store is declarative")
	}
}

func TestFreePair(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: t.TempDir()}
	write(t, p, "etc/nixos-containers/a.conf", "HOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2/24\n")
	write(t, p, "etc/nixos-containers/b.conf", "LOCAL_ADDRESS=\"10.233.3.2\"\nHOST_ADDRESS=x\n")
	taken := Taken(p)
	var got []string
	for range 3 {
		h, l, err := FreePair(func(h, l netip.Addr) bool { return !taken[h] && !taken[l] })
		must(t, err)
		got = append(got, h.String()+" "+l.String())
		taken[h] = true
	}
	if want := []string{"10.233.2.1 10.233.2.2", "10.233.4.1 10.233.4.2", "10.233.5.1 10.233.5.2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	h, l, err := FreePair(func(h, _ netip.Addr) bool { return h.As4()[3] > 1 })
	if err != nil || h.String() != "10.233.1.3" || l.String() != "10.233.1.4" {
		t.Errorf("when 254 pairs are taken: %s %s, %v", h, l, err)
	}
	if _, _, err := FreePair(func(netip.Addr, netip.Addr) bool { return false }); err == nil {
		t.Error("a pair was found where none is")
	}
}
