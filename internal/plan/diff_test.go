package plan

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

// changed has for every key a change of it.
func changed() map[string]func(*container.Spec) {
	type spec = container.Spec
	return map[string]func(*spec){
		"image":            func(s *spec) { s.Image = container.ImageRef{Kind: container.ImageDebian, Arg: "trixie"} },
		"flake":            func(s *spec) { s.Flake = ".#a" },
		"config":           func(s *spec) { s.Config = "{ }" },
		"configFile":       func(s *spec) { s.ConfigFile = "/a.nix" },
		"nixpkgs":          func(s *spec) { s.Nixpkgs = "/a" },
		"nixosPath":        func(s *spec) { s.NixOSPath = "/a" },
		"system":           func(s *spec) { s.System = "/nix/store/a" },
		"storeAccess":      func(s *spec) { s.StoreAccess = container.StoreHost },
		"nixInGuest":       func(s *spec) { s.NixInGuest = container.NixOwn },
		"root":             func(s *spec) { s.Root = "/srv/web" },
		"autoStart":        func(s *spec) { s.AutoStart = true },
		"ephemeral":        func(s *spec) { s.Ephemeral = true },
		"restartIfChanged": func(s *spec) { s.RestartIfChanged = false },
		"timeoutStartSec":  func(s *spec) { s.TimeoutStartSec++ },
		"privateUsers":     func(s *spec) { s.PrivateUsers.Mode = container.UsersNo },
		"dependsOn":        func(s *spec) { s.DependsOn = []container.Name{"a"} },
		"healthCheck":      func(s *spec) { s.HealthCheck = &container.HealthCheck{TCP: ":80"} },
		"healthTimeout":    func(s *spec) { s.HealthTimeout++ },
		"keepGenerations":  func(s *spec) { s.KeepGenerations++ },
		"limits":           func(s *spec) { s.Limits.IOWeight = 1 },
		"labels":           func(s *spec) { s.Labels = container.Labels{"a": "b"} },
		"privateNetwork":   func(s *spec) { s.PrivateNetwork = true },
		"networks":         func(s *spec) { s.Networks = []string{"lan"} },
		"zone":             func(s *spec) { s.Zone = "lan" },
		"aliases":          func(s *spec) { s.Aliases = []string{"www"} },
		"allowHost":        func(s *spec) { s.AllowHost = []container.HostPort{{Protocol: "tcp", First: 1, Last: 2}} },
		"ingress":          func(s *spec) { s.Ingress = []container.Ingress{{Host: "a.example", Port: 80, TLS: container.TLSOff}} },
		"hostBridge":       func(s *spec) { s.HostBridge = "br0" },
		"hostAddress":      func(s *spec) { s.HostAddress = "10.0.0.1" },
		"localAddress":     func(s *spec) { s.LocalAddress = "10.0.0.2" },
		"hostAddress6":     func(s *spec) { s.HostAddress6 = "fd00::1" },
		"localAddress6":    func(s *spec) { s.LocalAddress6 = "fd00::2" },
		"localMacAddress":  func(s *spec) { s.LocalMacAddress = "02:00:00:00:00:01" },
		"networkNamespace": func(s *spec) { s.NetworkNamespace = "/run/netns/a" },
		"interfaces":       func(s *spec) { s.Interfaces = []string{"eth1"} },
		"macvlans":         func(s *spec) { s.Macvlans = []string{"eth0"} },
		"extraVeths":       func(s *spec) { s.ExtraVeths = map[string]container.ExtraVeth{"a": {HostBridge: "br0"}} },
		"forwardPorts": func(s *spec) {
			s.ForwardPorts = []container.ForwardPort{{Protocol: "tcp", HostPort: container.Port(80)}}
		},
		"bindMounts":             func(s *spec) { s.BindMounts = map[string]container.BindMount{"/srv": {HostPath: "/srv"}} },
		"tmpfs":                  func(s *spec) { s.Tmpfs = []string{"/tmp"} },
		"allowedDevices":         func(s *spec) { s.AllowedDevices = []container.AllowedDevice{{Node: "/dev/fuse", Modifier: "rw"}} },
		"additionalCapabilities": func(s *spec) { s.AdditionalCapabilities = []container.Capability{"CAP_BPF"} },
		"dropCapabilities":       func(s *spec) { s.DropCapabilities = []container.Capability{"CAP_BPF"} },
		"systemCallFilter":       func(s *spec) { s.SystemCallFilter = []string{"bpf"} },
		"enableTun":              func(s *spec) { s.EnableTun = true },
		"credentials":            func(s *spec) { s.Credentials = []container.Credential{{ID: "a", Path: "/a"}} },
		"environment":            func(s *spec) { s.Environment = map[string]string{"A": "b"} },
		"extraFlags":             func(s *spec) { s.ExtraFlags = []string{"--x"} },
	}
}

// TestDiffSeesEveryKey changes each key once, in both directions.
func TestDiffSeesEveryKey(t *testing.T) {
	t.Parallel()
	changes := changed()
	for _, k := range container.Keys() {
		change, ok := changes[k.Name]
		if !ok {
			t.Errorf("the key %s is new: give it a change here", k.Name)
			continue
		}
		delete(changes, k.Name)
		before, after := container.DefaultSpec(), container.DefaultSpec()
		change(&after)
		there, back := Diff(before, after), Diff(after, before)
		if len(there) == 0 || len(there) != len(back) {
			t.Errorf("%s: %d changes, %d back", k.Name, len(there), len(back))
			continue
		}
		for i, c := range there {
			if c.Key != k.Name && !strings.HasPrefix(c.Key, k.Name+".") || c.Effect != k.Effect || c.Old == c.New {
				t.Errorf("%s: %+v", k.Name, c)
			}
			if b := back[i]; b != (container.Change{Key: c.Key, Old: c.New, New: c.Old, Effect: c.Effect}) {
				t.Errorf("%s back: %+v", k.Name, b)
			}
		}
	}
	for name := range changes {
		t.Errorf("there is no key %s", name)
	}
}

// TestKeysAreFields holds that every field of a Spec is a key: Diff sees no
// others.
func TestKeysAreFields(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for _, k := range container.Keys() {
		keys[k.Name] = true
	}
	for f := range reflect.TypeFor[container.Spec]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !keys[name] {
			t.Errorf("the field %s is no key", f.Name)
		}
	}
}

func TestDiffNothing(t *testing.T) {
	t.Parallel()
	full := container.DefaultSpec()
	for _, change := range changed() {
		change(&full)
	}
	if got := Diff(full, full); got != nil {
		t.Errorf("got %+v", got)
	}
	empty := container.DefaultSpec()
	empty.Labels, empty.Tmpfs, empty.BindMounts = container.Labels{}, []string{}, map[string]container.BindMount{}
	if got := Diff(container.DefaultSpec(), empty); got != nil {
		t.Errorf("empty is not unset: %+v", got)
	}
}

// TestDiffText compares how changes read, and that values are told apart that
// would read alike.
func TestDiffText(t *testing.T) {
	t.Parallel()
	type spec = container.Spec
	for _, c := range []struct {
		before, after func(*spec)
		want          string // key: old -> new; ...
	}{
		{func(s *spec) {}, func(s *spec) { s.Environment = map[string]string{"A": ""} }, `environment.A:  -> ""`},
		{func(s *spec) { s.Labels = container.Labels{"a": ""} }, func(s *spec) {}, `labels.a: "" -> `},
		{func(s *spec) { s.ExtraFlags = []string{"a, b"} }, func(s *spec) { s.ExtraFlags = []string{"a", "b"} }, `extraFlags: ["a, b"] -> [a, b]`},
		{func(s *spec) { s.ExtraFlags = []string{""} }, func(s *spec) {}, `extraFlags: [""] -> `},
		{func(s *spec) { s.Limits.TasksMax = math.MaxUint64 }, func(s *spec) { s.Limits.TasksMax = math.MaxUint64 - 1 },
			"limits.tasksMax: 18446744073709551615 -> 18446744073709551614"},
		{func(s *spec) { s.Limits = container.Limits{MemoryMax: 1 << 30, CPUQuota: 50} }, func(s *spec) { s.Limits = container.Limits{MemoryMax: 3 << 20} },
			"limits.cpuQuota: 50% -> ; limits.memoryMax: 1G -> 3M"},
		{func(s *spec) {
			s.BindMounts = map[string]container.BindMount{"/a": {HostPath: "/x", IsReadOnly: true}, "/b": {HostPath: "/y"}}
		},
			func(s *spec) {
				s.BindMounts = map[string]container.BindMount{"/a": {HostPath: "/x"}, "/c": {HostPath: "/y"}}
			},
			"bindMounts./a.isReadOnly: true -> false; bindMounts./b.hostPath: /y -> ; bindMounts./b.isReadOnly: false -> ; " +
				"bindMounts./c.hostPath:  -> /y; bindMounts./c.isReadOnly:  -> false"},
		{func(s *spec) {}, func(s *spec) {
			s.ForwardPorts = []container.ForwardPort{{Protocol: "tcp", HostPort: container.Port(80)}, {Protocol: "udp", HostPort: container.Port(1)}}
		},
			"forwardPorts:  -> [{hostPort: 80, protocol: tcp}, {hostPort: 1, protocol: udp}]"},
		{func(s *spec) {
			s.ForwardPorts = []container.ForwardPort{{Protocol: "tcp", HostPort: container.Port(80)}}
		},
			func(s *spec) {
				s.ForwardPorts = []container.ForwardPort{{Protocol: "tcp", HostPort: container.Ports{First: 80, Last: 81}}}
			},
			"forwardPorts: [{hostPort: 80, protocol: tcp}] -> [{hostPort: 80-81, protocol: tcp}]"},
		{func(s *spec) {}, func(s *spec) { s.AllowHost = []container.HostPort{{}, {Protocol: "udp", First: 53, Last: 53}} }, "allowHost:  -> [all, udp/53]"},
		{func(s *spec) {}, func(s *spec) { s.PrivateUsers = container.PrivateUsers{Mode: container.UsersBase, Base: 65536} }, "privateUsers: pick -> 65536"},
		{func(s *spec) {}, func(s *spec) { s.Labels, s.AutoStart = container.Labels{"b": "1", "a": "2"}, true }, "autoStart: false -> true; labels.a:  -> 2; labels.b:  -> 1"},
	} {
		before, after := container.DefaultSpec(), container.DefaultSpec()
		c.before(&before)
		c.after(&after)
		for range 100 { // whatever the order of maps
			var parts []string
			for _, d := range Diff(before, after) {
				parts = append(parts, fmt.Sprintf("%s: %s -> %s", d.Key, d.Old, d.New))
			}
			if got := strings.Join(parts, "; "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
				break
			}
		}
	}
}
