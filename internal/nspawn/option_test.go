package nspawn

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/host"
)

// names are the options in arguments, each once. What follows -- is the guest's
// init.
func names(args []string) []string {
	var out []string
	for _, a := range args {
		if a == "--" {
			break
		}
		name, _, _ := strings.Cut(a, "=")
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestFloor holds the oldest version here to what hosts are checked for.
func TestFloor(t *testing.T) {
	t.Parallel()
	if floor != host.Floor {
		t.Errorf("%d here, %d in host", floor, host.Floor)
	}
}

// TestOptionsAreGiven holds that the table has what Args gives, and no more:
// each option comes about by one of the examples, from its version on.
func TestOptionsAreGiven(t *testing.T) {
	t.Parallel()
	for _, version := range []int{floor, 257, 260, 261, 300} {
		given := map[string]bool{}
		for _, change := range examples() {
			c := example()
			c.Version = version
			change(&c)
			c.Spec.ExtraFlags = nil
			for _, name := range names(Args(c)) {
				given[name] = true
			}
		}
		for _, o := range Options() {
			if given[o.Name] != o.In(version) {
				t.Errorf("systemd %d: %s is given: %v; the table says %v", version, o.Name, given[o.Name], o.In(version))
			}
			delete(given, o.Name)
		}
		if len(given) > 0 {
			t.Errorf("systemd %d: not in the table: %v", version, given)
		}
	}
}

// changes give a key a value, by the key's name.
func changes() map[string]func(*Config) {
	return map[string]func(*Config){
		"privateUsers": func(c *Config) {
			c.UIDBase, c.Spec.PrivateUsers = 0, container.PrivateUsers{Mode: container.UsersNo}
			c.Spec.AdditionalCapabilities = []container.Capability{"CAP_MKNOD"} // leave its own option aside
		},
		"privateNetwork": func(c *Config) { c.Spec.PrivateNetwork = true },
		"networkNamespace": func(c *Config) {
			c.UIDBase, c.Spec.PrivateUsers.Mode, c.Spec.NetworkNamespace = 0, container.UsersNo, "/run/netns/a"
		},
		"bindMounts":             func(c *Config) { c.Binds = []Bind{{"/a", "/b", true}, {"/c", "/d", false}} },
		"allowedDevices":         func(c *Config) { c.Binds = []Bind{{"/dev/a", "/dev/a", false}} },
		"tmpfs":                  func(c *Config) { c.Spec.Tmpfs = []string{"/x"} },
		"additionalCapabilities": func(c *Config) { c.Spec.AdditionalCapabilities = []container.Capability{"CAP_NET_ADMIN"} },
		"enableTun":              func(c *Config) { c.Spec.EnableTun = true },
		"dropCapabilities":       func(c *Config) { c.Spec.DropCapabilities = []container.Capability{"CAP_CHOWN"} },
		"systemCallFilter":       func(c *Config) { c.Spec.SystemCallFilter = []string{"bpf"} },
		"environment":            func(c *Config) { c.Spec.Environment = map[string]string{"A": "b"} },
		"credentials":            func(c *Config) { c.Spec.Credentials = []container.Credential{{ID: "a", Path: "/b"}} },
	}
}

// TestKeysOfOptions holds the keys in the table to what Args makes of them.
func TestKeysOfOptions(t *testing.T) {
	t.Parallel()
	for _, k := range container.Keys() {
		change, carried := changes()[k.Name]
		options := OptionsOf(k.Name)
		if carried != (len(options) > 0) {
			t.Errorf("%s: the table has %v", k.Name, options)
		}
		if !carried {
			continue
		}
		c := example()
		c.Version = 300
		before := Args(c)
		change(&c)
		after := Args(c)
		for _, o := range options {
			given := func(args []string) []string {
				return slices.DeleteFunc(slices.Clone(args), func(a string) bool { name, _, _ := strings.Cut(a, "="); return name != o.Name })
			}
			if slices.Equal(given(before), given(after)) {
				t.Errorf("%s does not change %s: %q", k.Name, o.Name, given(after))
			}
		}
	}
}
