package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
)

func exampleRecord() Record {
	r := Record{Name: "web", Owner: container.OwnerCLI, Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		MachineID: "0123456789abcdef0123456789abcdef", UIDBase: 1 << 20,
		Digest: container.Digest("sha256:" + strings.Repeat("0f", 32)), Spec: container.DefaultSpec()}
	r.Spec.Image = container.ImageRef{Kind: container.ImageDebian, Arg: "trixie"}
	r.Spec.TimeoutStartSec = container.Infinity
	r.Spec.PrivateUsers = container.PrivateUsers{Mode: container.UsersBase, Base: 1 << 20}
	r.Spec.Limits = container.Limits{MemoryMax: 1 << 30, CPUQuota: 150, TasksMax: 7, IOWeight: 5}
	r.Spec.Labels = container.Labels{"a": "b"}
	r.Spec.BindMounts = map[string]container.BindMount{"/srv": {HostPath: "/a b", IsReadOnly: true}}
	return r
}

func TestRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ReadRecord(dir); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	want := exampleRecord()
	must(t, WriteRecord(dir, want))
	got, err := ReadRecord(dir)
	must(t, err)
	if want.Version = recordVersion; !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

func TestRecordOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"version":2,"name":"web"}`:           "of version 2",
		`{"version":0,"name":"web"}`:           "of version 0",
		`{"name":"web"}`:                       "of version 0",
		`{"version":1,"name":"-"}`:             "spec.json",
		`{"version":1,"digest":"x"}`:           "spec.json",
		`{"version":99,"name":{"new":"form"}}`: "of version 99",
		`{`:                                    "spec.json",
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, SpecFile), []byte(text), 0o600))
		if r, err := ReadRecord(dir); err == nil || !strings.Contains(err.Error(), want) || r != nil {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
}

func TestLaunched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ReadLaunched(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	want := Launched{Record: exampleRecord(), Lost: []string{"much"}}
	must(t, WriteLaunched(dir, want))
	got, err := ReadLaunched(dir)
	must(t, err)
	if want.Version = recordVersion; !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

func TestNamesAndLeftovers(t *testing.T) {
	t.Parallel()
	p := Paths{t.TempDir()}
	for range 2 { // first without the directory
		names, err := p.Names()
		must(t, err)
		left, err := p.Leftovers()
		must(t, err)
		if len(names)+len(left) != 0 {
			t.Errorf("of nothing: %q, %q", names, left)
		}
		must(t, os.MkdirAll(p.Containers(), 0o700))
	}
	for _, d := range []string{"web", "a", "b-1", ".new-web-1", ".trash-a-2", "not a name", "-x"} {
		must(t, os.Mkdir(filepath.Join(p.Containers(), d), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(p.Containers(), "file"), nil, 0o600))
	must(t, os.Symlink("web", filepath.Join(p.Containers(), "link")))
	names, err := p.Names()
	must(t, err)
	if want := []container.Name{"a", "b-1", "web"}; !slices.Equal(names, want) {
		t.Errorf("names: %q, not %q", names, want)
	}
	left, err := p.Leftovers()
	must(t, err)
	if want := []string{p.Containers() + "/.new-web-1", p.Containers() + "/.trash-a-2"}; !slices.Equal(left, want) {
		t.Errorf("leftovers: %q, not %q", left, want)
	}
}

// TestPaths holds that two roots never share a path or a name of the machine.
func TestPaths(t *testing.T) {
	t.Parallel()
	of := func(root string) []string {
		p := Paths{root}
		return []string{p.Containers(), p.Container("web"), p.Images(), p.Config(), p.Runtime(), p.Run("web"), p.Runs(), p.Locks(), p.Sieves(), p.Log("web"), p.Instance(), p.Machine("web")}
	}
	host := of("/")
	if want := []string{"/var/lib/berth/containers", "/var/lib/berth/containers/web", "/var/lib/berth/images", "/etc/berth", "/run/berth",
		"/run/berth/containers/web", "/run/berth/containers", "/run/berth/locks", "/run/berth/filters", "/var/log/berth/web.log", "berth", "web"}; !slices.Equal(host, want) {
		t.Errorf("of the host: %q", host)
	}
	for i, s := range of("/srv/a") {
		for _, other := range append(of("/srv/b"), host...) {
			if s == other {
				t.Errorf("path %d is %q for two roots", i, s)
			}
		}
	}
}

// TestMachine holds that no two containers have the same machine name, and
// that each is one for systemd-nspawn.
func TestMachine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", container.MaxNameLen-1)
	seen := map[string]string{}
	for _, root := range []string{"/", "/srv/a", "/srv/b"} {
		for _, s := range []string{"web", "a-b", "a_b", "a__b", "a-_b", long, long + "a", long + "b", "a_" + long[1:]} {
			n, err := container.ParseName(s)
			must(t, err)
			m := Paths{root}.Machine(n)
			if _, err := container.ParseName(m); err != nil && len(m) != 64 || len(m) > 64 || strings.Contains(m, "_") {
				t.Errorf("%s below %s is %q, which is no machine name", s, root, m)
			}
			if other, ok := seen[m]; ok {
				t.Errorf("%s below %s is %q, as is %s", s, root, m, other)
			}
			seen[m] = s + " below " + root
		}
	}
}
