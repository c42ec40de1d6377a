package nspawn

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
)

var update = flag.Bool("update", false, "write the golden files anew")

// versions are the oldest that berth runs on, one in between, and one that has
// every option of the table.
func versions() []int { return []int{252, 257, 261} }

// example is the plainest container.
func example() Config {
	return Config{Machine: "web", Hostname: "web", MachineID: "0123456789abcdef0123456789abcdef",
		Root: "/run/berth/containers/web/mnt/root", UIDBase: 1 << 20, Spec: container.DefaultSpec()}
}

// examples are configurations by the name of their golden file.
func examples() map[string]func(*Config) {
	return map[string]func(*Config){
		"plain": func(*Config) {},
		"root-of-instance": func(c *Config) {
			c.Machine, c.Root = "web-12345678", "/srv/a b/root"
		},
		"users-no": func(c *Config) {
			c.UIDBase, c.Spec.PrivateUsers = 0, container.PrivateUsers{Mode: container.UsersNo}
		},
		"users-no-mknod": func(c *Config) {
			c.UIDBase, c.Spec.PrivateUsers = 0, container.PrivateUsers{Mode: container.UsersNo}
			c.Spec.AdditionalCapabilities = []container.Capability{"CAP_MKNOD"}
		},
		"users-no-all": func(c *Config) {
			c.UIDBase, c.Spec.PrivateUsers = 0, container.PrivateUsers{Mode: container.UsersNo}
			c.Spec.AdditionalCapabilities = []container.Capability{"all"}
			c.Spec.DropCapabilities = []container.Capability{"CAP_MKNOD", "CAP_SYS_MODULE"}
		},
		"users-identity": func(c *Config) {
			c.UIDBase, c.Spec.PrivateUsers = 0, container.PrivateUsers{Mode: container.UsersIdentity}
		},
		"init-busybox":  func(c *Config) { c.Init = boot.Init{Kind: boot.BusyBox, Path: "/sbin/init"} },
		"init-sysvinit": func(c *Config) { c.Init = boot.Init{Kind: boot.SysVinit, Path: "/sbin/init"} },
		"init-script": func(c *Config) {
			c.Init = boot.Init{Kind: boot.Script, Path: "/init"}
			c.Spec.ExtraFlags = []string{"--no-new-privileges=yes"}
		},
		"users-chown": func(c *Config) { c.ChownRoot = true },
		"network":     func(c *Config) { c.Spec.PrivateNetwork, c.Spec.EnableTun = true, true },
		"namespace": func(c *Config) {
			c.UIDBase, c.Spec.PrivateUsers.Mode, c.Spec.NetworkNamespace = 0, container.UsersNo, "/run/netns/a b"
		},
		"mounts": func(c *Config) {
			c.Binds = []Bind{{"/run/mnt/bind/0", "/srv", true}, {`/a:b\c`, `/d:e\f g,h`, false}}
			c.Spec.Tmpfs = []string{"/tmp", "/var/x:size=1G,mode=0755", `/a\b:nosuid`}
		},
		"rights": func(c *Config) {
			c.Spec.AdditionalCapabilities = []container.Capability{"CAP_NET_ADMIN", "CAP_SYS_PTRACE"}
			c.Spec.DropCapabilities = []container.Capability{"CAP_SYS_CHROOT"}
			c.Spec.SystemCallFilter = []string{"@keyring", "~reboot", "bpf", "~@swap"}
			c.Spec.EnableTun = true
		},
		"environment": func(c *Config) {
			c.Spec.Environment = map[string]string{"B": "two words", "A": "a=b", "C": "", "_D": "--boot"}
			c.Spec.Credentials = []container.Credential{{ID: "token", Path: "/etc/a b:c"}, {ID: "x@y", Path: `/\`}}
			c.Spec.ExtraFlags = []string{"--rlimit=RLIMIT_NOFILE=1024", "--no-new-privileges=yes"}
		},
	}
}

// TestGolden compares the arguments of every example for every version, one on
// a line, with what was looked at once.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, change := range examples() {
		var b strings.Builder
		for _, v := range versions() {
			c := example()
			c.Version = v
			change(&c)
			fmt.Fprintf(&b, "systemd %d\n", v)
			for _, a := range Args(c) {
				fmt.Fprintf(&b, "    %s\n", a)
			}
		}
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestGoldenFiles finds files whose example is gone.
func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) != len(examples()) {
		t.Errorf("%d examples, %d files: %v", len(examples()), len(files), err)
	}
}

// TestArgsAreStable makes the arguments again and again: they come from maps.
func TestArgsAreStable(t *testing.T) {
	t.Parallel()
	for name, change := range examples() {
		c := example()
		change(&c)
		first := Args(c)
		for range 50 {
			if diff := cmp.Diff(first, Args(c)); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
	}
}

// TestArgsKeepTheSpec makes sure that what is added to a list is added to a
// copy.
func TestArgsKeepTheSpec(t *testing.T) {
	t.Parallel()
	c := example()
	c.UIDBase, c.Spec.EnableTun = 0, true
	c.Spec.AdditionalCapabilities = make([]container.Capability, 1, 9)
	c.Spec.DropCapabilities = make([]container.Capability, 1, 9)
	Args(c)
	if add, drop := c.Spec.AdditionalCapabilities[:2], c.Spec.DropCapabilities[:2]; add[1] != "" || drop[1] != "" {
		t.Errorf("the spec has become %q, %q", add, drop)
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	if got := Env(false); got != nil {
		t.Errorf("legacy: %q", got)
	}
	if diff := cmp.Diff([]string{"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"}, Env(true)); diff != "" {
		t.Error(diff)
	}
}
