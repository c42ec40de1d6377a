package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/ingress"
	"github.com/berth-containers/berth/internal/network/names"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// has asserts one of the findings, with a remedy unless all is well.
func has(t *testing.T, all []container.Finding, s container.Severity, check string, texts ...string) {
	t.Helper()
	for _, f := range all {
		if f.Severity != s || f.Check != check || (f.Remedy == "") != (s == container.Good) {
			continue
		}
		found := true
		for _, text := range texts {
			found = found && strings.Contains(f.Text+" "+f.Remedy, text)
		}
		if found {
			return
		}
	}
	t.Errorf("no %s of %s with %q in %+v", s, check, texts, all)
}

func TestCheckKernel(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]struct {
		severity container.Severity
		text     string
	}{
		"6.1.0":  {container.Good, "Linux 6.1"},
		"5.15.0": {container.Warn, "use Linux 5.19 or later"},
		"5.10.0": {container.Bad, "use Linux 5.15 or later"},
	} {
		has(t, engineOn(t, release, "").checkKernel(), want.severity, "kernel", want.text)
	}
}

func TestStorageFinding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		st       unix.Statfs_t
		severity container.Severity
		text     string
	}{
		{unix.Statfs_t{Bsize: 1 << 20, Bavail: 2048}, container.Good, "/srv, 2048 MiB free"},
		{unix.Statfs_t{Bsize: 1 << 20, Bavail: 3}, container.Warn, "make room"},
		{unix.Statfs_t{Bsize: 1 << 20, Bavail: 2048, Flags: unix.ST_RDONLY}, container.Bad, "mounted read-only"},
		{unix.Statfs_t{Bsize: 1 << 20, Bavail: 2048, Type: unix.NFS_SUPER_MAGIC}, container.Bad, "NFS"},
	} {
		has(t, storageFinding("/srv", c.st), c.severity, "storage", c.text)
	}
}

func TestFindingsOfParts(t *testing.T) {
	t.Parallel()
	all := findingsOf([]host.Part{
		{Name: "good", Try: func() error { return nil }, Remedy: "none"},
		{Name: "bad", Try: func() error { return errors.New("it says no") }, Remedy: "do this"},
	})
	has(t, all, container.Good, "kernel", "good")
	has(t, all, container.Bad, "kernel", "no bad: it says no", "do this")
}

// registrar is a supervisor for systemd, as far as systemd-machined goes.
type registrar struct {
	supervisor
	supervise.Native
	load, active string
	err          error
}

func (r registrar) Machined(context.Context) (load, active string, err error) {
	return r.load, r.active, r.err
}

func TestCheckMachined(t *testing.T) {
	t.Parallel()
	e := engineOn(t, "6.1.0", "")
	has(t, e.checkMachined(t.Context()), container.Good, "machined", "not used")
	for _, c := range []struct {
		registrar
		severity container.Severity
		text     string
	}{
		{registrar{load: "loaded", active: "active"}, container.Good, "runs"},
		{registrar{load: "loaded", active: "inactive"}, container.Good, "starts with the first guest"},
		{registrar{load: "masked", active: "inactive"}, container.Warn, "systemctl unmask"},
		{registrar{load: "not-found", active: "inactive"}, container.Warn, "apt install systemd-container"},
	} {
		e.supervisor = c.registrar
		has(t, e.checkMachined(t.Context()), c.severity, "machined", c.text)
	}
}

// TestCheckSources looks at containers whose bind mounts are not as they
// should be.
func TestCheckSources(t *testing.T) {
	t.Parallel()
	e := engineOn(t, "6.1.0", "libsystemd-shared-252.so")
	has(t, e.checkMapping(), container.Good, "id-mapped mounts")
	add := func(n container.Name, source string, users container.UsersMode) {
		rec := state.Record{Name: n, UIDBase: firstBase, Spec: container.DefaultSpec()}
		rec.Spec.PrivateUsers.Mode = users
		rec.Spec.BindMounts = map[string]container.BindMount{"/x": {HostPath: source}}
		if err := errors.Join(e.prepare(), e.place(rec)); err != nil {
			t.Fatal(err)
		}
	}
	add("plain", e.Paths.Root, container.UsersPick)
	add("host", "/proc/self", container.UsersNo)
	has(t, e.checkMapping(), container.Good, "id-mapped mounts")
	add("unmapped", "/proc/sys", container.UsersPick)
	has(t, e.checkMapping(), container.Warn, "id-mapped mounts", "/proc/sys, which is bound into guests", "nobody")

	rec := &state.Record{Spec: container.DefaultSpec()}
	missing := e.Paths.Root + "/none"
	rec.Spec.NetworkNamespace = missing
	if err := checkSources(rec.Spec); err == nil || !strings.Contains(err.Error(), "networkNamespace: "+missing+" does not exist") {
		t.Errorf("a network namespace that is not there: %v", err)
	}
	rec.Spec.NetworkNamespace = ""
	rec.Spec.BindMounts = map[string]container.BindMount{"/x": {HostPath: missing, Create: true}}
	if err := checkSources(rec.Spec); err != nil {
		t.Errorf("a source that is to be made: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("to look made it: %v", err)
	}
	if err := makeSources(rec.Spec); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(missing); err != nil {
		t.Error(err)
	}
}

// TestCheckNames has a guest with a network whose process was killed, and then
// one that has left nothing but that process' file.
func TestCheckNames(t *testing.T) {
	t.Parallel()
	e := &Engine{Paths: state.Paths{Root: t.TempDir()}}
	has(t, e.checkNames(), container.Good, "names", "not needed")
	lease := network.Lease{Name: "web", Links: []network.Link{{Kind: network.Bridged, Network: "berth0"}}}
	if err := os.MkdirAll(e.Paths.Leases(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := state.WriteRuntimeJSON(e.Paths.Lease("web"), lease); err != nil {
		t.Fatal(err)
	}
	has(t, e.checkNames(), container.Bad, "names", "does not run", "--fix")
	if err := state.WriteRuntimeJSON(filepath.Join(e.Paths.Runtime(), "names.json"), names.Status{PID: 1}); err != nil {
		t.Fatal(err)
	}
	if left := e.served(); len(left) > 0 {
		t.Errorf("%s is left while it is needed", left[0].what)
	}
	if err := os.Remove(e.Paths.Lease("web")); err != nil {
		t.Fatal(err)
	}
	left := e.served()
	if len(left) != 1 {
		t.Fatalf("%d things are left", len(left))
	}
	if done, err := left[0].remove(t.Context()); !done || err != nil {
		t.Error(done, err)
	}
	if left := e.served(); len(left) > 0 {
		t.Errorf("%s is left", left[0].what)
	}
}

// TestCheckIngress has a guest with a name whose process was killed, and then
// one of which this process holds the place.
func TestCheckIngress(t *testing.T) {
	t.Parallel()
	e := &Engine{Paths: state.Paths{Root: t.TempDir()}}
	has(t, e.checkIngress(), container.Good, "ingress", "not needed")
	write := func(path string, v any) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), state.WriteRuntimeJSON(path, v)); err != nil {
			t.Fatal(err)
		}
	}
	in := []container.Ingress{{Host: "web.example.com", Port: 80}, {Host: "www.example.com", Port: 80}}
	write(e.Paths.Lease("web"), network.Lease{Name: "web", Ingress: in})
	has(t, e.checkIngress(), container.Bad, "ingress", "does not run", "--fix")

	lock, err := state.TryLock(e.Paths.IngressLock())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	all := ingress.Statuses{"web": {{Ingress: in[0], Reach: container.Reached}, {Ingress: in[1], Reach: container.Untried}}}
	write(e.Paths.IngressStatus(), all)
	has(t, e.checkIngress(), container.Good, "ingress", "nothing is wrong")
	all["web"][0].Trouble, all["web"][1].Trouble = "cannot listen on :80", "cannot listen on :80"
	all["web"][1].Reach, all["web"][1].Reason = container.Unreached, "connection refused"
	write(e.Paths.IngressStatus(), all)
	has(t, e.checkIngress(), container.Warn, "ingress", "web.example.com, www.example.com: cannot listen on :80", "by itself")
	has(t, e.checkIngress(), container.Warn, "ingress", "www.example.com: the container web does not answer at port 80: connection refused")
}
