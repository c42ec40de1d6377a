package systemd

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with what was looked at once.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	host, other := state.Paths{Root: "/"}, state.Paths{Root: "/srv/a b/100%/$x"}
	plain := &state.Record{Name: "web", MachineID: "0123456789abcdef0123456789abcdef", Spec: container.DefaultSpec()}
	system := &state.Record{Name: "my-web", MachineID: plain.MachineID, Spec: container.DefaultSpec(), System: "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-1"}
	full := &state.Record{Name: "my-db", MachineID: plain.MachineID, Spec: container.DefaultSpec()}
	full.Spec.BindMounts = map[string]container.BindMount{"/z": {HostPath: "/data/"}, "/a": {HostPath: "/mnt/a b%c"}}
	full.Spec.DependsOn = []container.Name{"web", "log-1"}
	full.Spec.Limits = container.Limits{MemoryMax: 1 << 30, CPUQuota: 150, TasksMax: 100, IOWeight: 50}
	full.Spec.AllowedDevices = []container.AllowedDevice{{Node: "/dev/fuse"}, {Node: "char-usb_device", Modifier: "r"}, {Node: "/dev/sda", Modifier: "rwm"}}
	full.Spec.Credentials = []container.Credential{{ID: "token", Path: "/etc/to:ken 100%"}, {ID: "key", Path: "/etc/key", Encrypted: true}}
	full.Spec.TimeoutStartSec = container.Infinity
	for name, text := range map[string]string{
		"template.service":       TemplateText(host, "/usr/bin/berth"),
		"template-other.service": TemplateText(other, "/opt/my berth"),
		"plain.conf":             DropInText(host, plain),
		"system.conf":            DropInText(host, system),
		"full.conf":              DropInText(other, full),
		"autostart.service":      AutostartText("/usr/bin/berth"),
		"names.service":          NamesText(host, "/usr/bin/berth"),
		"names-other.service":    NamesText(other, "/opt/my berth"),
		"ingress.service":        IngressText(host, "/usr/bin/berth"),
		"ingress-other.service":  IngressText(other, "/opt/my berth"),
	} {
		golden(t, name, text)
	}
}

func TestUnitNames(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: "/"}
	for n, want := range map[container.Name]string{"web": "berth@web.service", "my-db_1": "berth@my-db_1.service"} {
		if got := Unit(p, n); got != want {
			t.Errorf("the unit of %s is %s, not %s", n, got, want)
		}
	}
	for unit, want := range map[string]bool{
		"berth@web.service": true, "berth-0123abcd@web.service": true,
		"berth.service": false, "systemd-nspawn@web.service": false, "machine-web.scope": false, "": false, "bertha@x.service": false,
		"berth-autostart@x.service": false,
	} {
		if ownUnit(unit) != want {
			t.Errorf("%q is of berth: %v", unit, !want)
		}
	}
}

func TestProperties(t *testing.T) {
	t.Parallel()
	const none = ^uint64(0)
	for want, l := range map[[4]uint64]container.Limits{
		{none, none, 16384, none}:           {},
		{1 << 30, 1_500_000, 100, 50}:       {MemoryMax: 1 << 30, CPUQuota: 150, TasksMax: 100, IOWeight: 50},
		{none, 10_000, 16384, none}:         {CPUQuota: 1},
		{128 << 20, none, 16384, uint64(1)}: {MemoryMax: 128 << 20, IOWeight: 1},
	} {
		var got [4]uint64
		for i, p := range properties(l) {
			got[i], _ = p.Value.Value().(uint64)
		}
		if got != want {
			t.Errorf("%+v are %v, not %v", l, got, want)
		}
	}
}

// TestTally counts failures, and waits longer after each that soon follows.
func TestTally(t *testing.T) {
	t.Parallel()
	var c tally
	if c.pause() != 0 {
		t.Error("the first run waits")
	}
	for i := range 3 {
		c.failed("it broke", time.Second)
		if c.pause() != supervise.Pause(i+1) || c.Restarts != i+1 || c.Reason != "it broke" {
			t.Errorf("failure %d: %v, %+v", i+1, c.pause(), c)
		}
	}
	c.failed("", 2*supervise.Stable)
	if c.pause() != supervise.Pause(1) || c.Restarts != 4 {
		t.Errorf("after it ran for long: %v, %+v", c.pause(), c)
	}
}

func TestUpdatesOffline(t *testing.T) {
	t.Parallel()
	p := state.Paths{Root: t.TempDir()}
	rec := &state.Record{Name: "web", Spec: container.DefaultSpec()}
	upper := filepath.Join(p.Container("web"), state.Changes, "upper")
	must(t, os.MkdirAll(filepath.Join(upper, "etc"), 0o755))
	if updatesOffline(p, rec) {
		t.Error("without a mark")
	}
	must(t, os.Symlink("/var/lib/system-update", filepath.Join(upper, "etc/system-update")))
	if !updatesOffline(p, rec) {
		t.Error("the mark is not seen")
	}
	if rec.Spec.Ephemeral = true; updatesOffline(p, rec) {
		t.Error("of a guest that forgets")
	}
}
