package launch

import (
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/state"
)

// guestConfig is what one guest of many is started with.
func guestConfig() nspawn.Config {
	return nspawn.Config{Version: 252, Machine: "a", Hostname: "a", MachineID: "0123", Root: "/r/a", UIDBase: 1 << 20,
		Init: boot.Init{Kind: boot.Systemd, Path: "/sbin/init"}, Spec: container.DefaultSpec()}
}

// TestQuestion: what tells guests of one kind apart is no part of it; what may
// matter to their filters is.
func TestQuestion(t *testing.T) {
	t.Parallel()
	program := host.Nspawn{Path: "/usr/bin/systemd-nspawn", Version: 252}
	env := []string{"PATH=/bin", "NOTIFY_SOCKET=/a"}
	key := func(change func(*nspawn.Config), env []string) string {
		c := guestConfig()
		change(&c)
		q, err := question(program, c, env)
		must(t, err)
		return q.Key()
	}
	base := key(func(*nspawn.Config) {}, env)
	for what, change := range map[string]func(*nspawn.Config){
		"names":       func(c *nspawn.Config) { c.Machine, c.Hostname, c.MachineID, c.Root = "b", "b", "4567", "/r/b" },
		"users":       func(c *nspawn.Config) { c.UIDBase = 1 << 21 },
		"binds":       func(c *nspawn.Config) { c.Binds = []nspawn.Bind{{Source: "/a", Target: "/b"}} },
		"init":        func(c *nspawn.Config) { c.First, c.Init = []string{"/x"}, boot.Init{Kind: boot.BusyBox, Path: "/init"} },
		"environment": func(c *nspawn.Config) { c.Spec.Environment = map[string]string{"A": "b"} },
		"credentials": func(c *nspawn.Config) { c.Spec.Credentials = []container.Credential{{ID: "a", Path: "/a"}} },
		"tmpfs":       func(c *nspawn.Config) { c.Spec.Tmpfs = []string{"/a"} },
	} {
		if key(change, []string{"PATH=/bin", "NOTIFY_SOCKET=/b"}) != base {
			t.Errorf("other %s are another question", what)
		}
	}
	seen := map[string]string{base: "the same"}
	for what, change := range map[string]func(*nspawn.Config){
		"no user namespace":  func(c *nspawn.Config) { c.UIDBase = 0 },
		"identity":           func(c *nspawn.Config) { c.Spec.PrivateUsers.Mode = container.UsersIdentity },
		"allowed calls":      func(c *nspawn.Config) { c.Spec.SystemCallFilter = []string{"bpf"} },
		"more capabilities":  func(c *nspawn.Config) { c.Spec.AdditionalCapabilities = []container.Capability{"CAP_SYS_TIME"} },
		"fewer capabilities": func(c *nspawn.Config) { c.Spec.DropCapabilities = []container.Capability{"CAP_SYS_BOOT"} },
		"tun":                func(c *nspawn.Config) { c.Spec.EnableTun = true },
		"a private network":  func(c *nspawn.Config) { c.Spec.PrivateNetwork = true },
	} {
		k := key(change, env)
		if other, there := seen[k]; there {
			t.Errorf("%s is the same question as %s", what, other)
		}
		seen[k] = what
	}
	if key(func(*nspawn.Config) {}, []string{"PATH=/bin", "SYSTEMD_LOG_SECCOMP=1"}) == base {
		t.Error("the environment of systemd-nspawn is of no matter")
	}
}

func TestInstallable(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(*nspawn.Config)
		want   bool
	}{
		"plain":                 {func(*nspawn.Config) {}, true},
		"calls":                 {func(c *nspawn.Config) { c.Spec.SystemCallFilter = []string{"bpf"} }, true},
		"forbidden calls":       {func(c *nspawn.Config) { c.Spec.SystemCallFilter = []string{"bpf", "~@swap"} }, false},
		"without CAP_SYS_ADMIN": {func(c *nspawn.Config) { c.Spec.DropCapabilities = []container.Capability{"CAP_SYS_ADMIN"} }, false},
		"without all":           {func(c *nspawn.Config) { c.Spec.DropCapabilities = []container.Capability{"all"} }, false},
		"flags":                 {func(c *nspawn.Config) { c.Spec.ExtraFlags = []string{"--quiet"} }, false},
		"no known init":         {func(c *nspawn.Config) { c.Init = boot.Init{} }, false},
	} {
		g := guestConfig()
		c.change(&g)
		if got := installable(g); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
		if f, learns, err := filtersFor(state.Paths{Root: t.TempDir()}, host.Nspawn{Path: "/x", Version: 252}, g, nil); f != nil || err != nil || !c.want && learns != "" {
			t.Errorf("%s: %v, %q, %v", what, f, learns, err)
		}
	}
}
