package launch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// newRecord is a container with one of each that the guest gets of the host.
func newRecord(t *testing.T) (state.Paths, *state.Record) {
	t.Helper()
	p := state.Paths{Root: t.TempDir()}
	r := &state.Record{Name: "web_1", UIDBase: 1 << 20, MachineID: "0123456789abcdef0123456789abcdef",
		Digest: container.Digest("sha256:" + strings.Repeat("0f", 32)), Spec: container.DefaultSpec()}
	r.Spec.BindMounts = map[string]container.BindMount{"/z": {HostPath: "/a"}, "/dev/fuse": {HostPath: "/dev/null"}, "/b": {HostPath: "/c", IsReadOnly: true}}
	r.Spec.AllowedDevices = []container.AllowedDevice{{Node: "/dev/fuse"}, {Node: "char-usb_device"}, {Node: "/dev/full"}}
	must(t, os.MkdirAll(filepath.Join(p.Container(r.Name), state.Changes), 0o700))
	return p, r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUIDBase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		users container.PrivateUsers
		want  uint32
	}{
		{container.PrivateUsers{Mode: container.UsersPick, Base: 7}, 1 << 20},
		{container.PrivateUsers{Mode: container.UsersBase, Base: 1 << 19}, 1 << 19},
		{container.PrivateUsers{Mode: container.UsersNo, Base: 7}, 0},
		{container.PrivateUsers{Mode: container.UsersIdentity, Base: 7}, 0},
	} {
		r := &state.Record{UIDBase: 1 << 20}
		r.Spec.PrivateUsers = c.users
		if got := UIDBase(r); got != c.want {
			t.Errorf("%v: %d, not %d", c.users, got, c.want)
		}
	}
}

func TestRootOf(t *testing.T) {
	t.Parallel()
	p, r := newRecord(t)
	for range 50 { // whatever the order of maps
		got, err := rootOf(p, r, true)
		must(t, err)
		want := rootfs.Root{
			Dir:     p.Root + "/run/berth/containers/web_1/mnt",
			Image:   p.Root + "/var/lib/berth/images/sha256/" + r.Digest.Hex() + "/rootfs",
			Changes: p.Root + "/var/lib/berth/containers/web_1/changes",
			Users:   rootfs.IDs{Base: 1 << 20, Size: 1 << 16},
			Binds: []rootfs.Bind{{Source: "/c", Target: "/b", ReadOnly: true}, {Source: "/dev/null", Target: "/dev/fuse"},
				{Source: "/a", Target: "/z"}},
			Devices: []string{"/dev/full"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
	r.Spec.Ephemeral, r.Spec.PrivateUsers.Mode = true, container.UsersNo
	if got, err := rootOf(p, r, false); err != nil || got.Changes != "" || got.Users != (rootfs.IDs{}) || got.Unmapped {
		t.Errorf("ephemeral, without a range: %+v, %v", got, err)
	}
}

// TestArguments pairs what is mounted with where the guest sees it.
func TestArguments(t *testing.T) {
	t.Parallel()
	p, r := newRecord(t)
	m := rootfs.Mounted{Root: "/root", Binds: []string{"/0", "/1", "/2"}, Devices: []string{"/dev/0"}}
	root, err := rootOf(p, r, true)
	must(t, err)
	args := nspawn.Args(config(p, r, root, m))
	var binds []string
	for _, a := range args {
		if strings.HasPrefix(a, "--bind") {
			binds = append(binds, a)
		}
	}
	if want := []string{"--bind-ro=/0:/b", "--bind=/1:/dev/fuse", "--bind=/2:/z", "--bind=/dev/0:/dev/full"}; !slices.Equal(binds, want) {
		t.Errorf("binds %q, not %q", binds, want)
	}
	for _, want := range []string{"--directory=/root", "--hostname=web-1", "--machine=" + p.Machine("web_1"), "--private-users=1048576:65536"} {
		if !slices.Contains(args, want) {
			t.Errorf("no %s in %q", want, args)
		}
	}
}

// TestOwned follows a container from an old kernel to a new one, and to another
// range.
func TestOwned(t *testing.T) {
	t.Parallel()
	p, r := newRecord(t)
	for _, c := range []struct {
		mapped bool
		base   uint32
		owned  bool
		err    string
	}{
		{true, 1 << 20, false, ""},
		{true, 1 << 21, false, ""},
		{false, 1 << 20, true, ""},
		{false, 1 << 20, true, ""},
		{true, 1 << 20, true, ""},
		{true, 1 << 21, false, "belong to the users from 1048576 on"},
		{false, 1 << 21, false, "belong to the users from 1048576 on"},
	} {
		r.UIDBase = c.base
		root, err := rootOf(p, r, c.mapped)
		if c.err == "" && (err != nil || root.Owned != c.owned) {
			t.Errorf("%+v: %v, %v", c, root.Owned, err)
		}
		var e *container.Error
		if c.err != "" && (!errors.As(err, &e) || !strings.Contains(err.Error(), c.err) || e.Hint != "set privateUsers to 1048576") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestEnvironment lets nothing of the caller's through but the place for
// READY=1.
func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET", "x")
	t.Setenv("SYSTEMD_NSPAWN_LOCK", "0")
	env := environment("/run/x")
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains([]string{"PATH", "TERM", "NOTIFY_SOCKET", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"}, name) {
			t.Errorf("%s goes to systemd-nspawn", v)
		}
	}
	if !slices.Contains(env, "NOTIFY_SOCKET=/run/x") {
		t.Errorf("got %q", env)
	}
}
