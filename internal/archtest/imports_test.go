package archtest

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// levels say who may import whom: a package imports packages of levels above
// its own in this list, and never one of its own level or of a later one.
var levels = [][]string{
	{"container", "internal/plain"},
	{"internal/boot", "internal/nix", "internal/declare/conf", "internal/network/dump", "internal/mountinfo"},
	{"internal/state", "internal/host", "internal/process", "internal/namespace", "internal/enrol", "internal/cgroup", "internal/unit", "internal/network/link", "internal/network/firewall", "internal/network/survey",
		"internal/network/dns", "internal/network/dhcp", "internal/network/loopback", "internal/network/hosts", "internal/network/networktest", "internal/nix/nar"},
	{"internal/sysctl", "internal/preinit", "internal/sieve", "internal/network/serving"},
	{"internal/inotify", "internal/archive", "internal/rootfs", "internal/nspawn", "internal/declare", "internal/plan", "internal/guest", "internal/supervise", "internal/network", "internal/nix/store", "internal/nix/build"},
	{"internal/image", "internal/closure", "internal/nixos", "internal/transfer", "internal/journal", "internal/network/names", "internal/network/ingress", "internal/nix/cache", "internal/nix/serve"},
	{"internal/launch", "internal/nix/transport"},
	{"internal/supervise/embedded", "internal/supervise/systemd", "internal/supervise/supervisetest"},
	{"internal/engine"},
	{"."},
	{"internal/cli/nixoscontainer"},
	{"internal/cli"},
	{"test/hosts/nested", "test/mini-nixos"},
	{"cmd/berth", "bench", "test/nixos", "test/e2e", "test/e2e/tinyinit", "test/hosts", "test/hosts/inside", "test/packages", "packaging"},
}

// only are packages that import less than their level would let them: those
// that are pure, that know nothing of containers, or that have one door.
var only = map[string][]string{
	"container":                 {},
	"internal/boot":             {"container"},
	"internal/plain":            {},
	"internal/process":          {},
	"internal/network/firewall": {},
	"internal/network/link":     {"internal/network/dump"},
	"internal/network/dump":     {},
	"internal/network/dns":      {},
	"internal/network/dhcp":     {},
	"internal/network/loopback": {},
	"internal/network/hosts":    {},
	"internal/preinit":          {"internal/enrol", "internal/namespace"},
	"internal/enrol":            {},
	"internal/sieve":            {"internal/namespace", "internal/process", "internal/state"},
	"internal/network/survey":   {"internal/network/dump"},
	"internal/network/ingress":  {"container", "internal/cgroup", "internal/network", "internal/network/serving", "internal/state"},
	"internal/network/serving":  {"container", "internal/cgroup", "internal/process", "internal/state"},
	"internal/mountinfo":        {},
	"internal/namespace":        {},
	"internal/sysctl":           {"internal/state"},
	"internal/unit":             {},
	"internal/state":            {"container", "internal/boot"},
	"internal/host":             {"container"},
	"internal/cgroup":           {"container", "internal/mountinfo"},
	"internal/declare":          {"container", "internal/declare/conf", "internal/nix"},
	"internal/declare/conf":     {},
	"internal/nix":              {"container", "internal/plain"},
	"internal/nix/nar":          {},
	"internal/nix/store":        {"container", "internal/nix", "internal/nix/nar", "internal/state"},
	"internal/nix/build":        {"container", "internal/nix", "internal/plain"},
	"internal/nix/cache":        {"container", "internal/archive", "internal/nix", "internal/state"},
	"internal/nix/serve":        {"container", "internal/nix", "internal/plain"},
	"internal/nix/transport":    {"container", "internal/nix", "internal/nix/cache", "internal/nix/serve", "internal/nix/store"},
	"internal/nspawn":           {"container", "internal/boot"},
	"internal/plan":             {"container"},
	"internal/supervise":        {"container", "internal/state"},
	"internal/archive":          {"internal/state"},
	"internal/inotify":          {"internal/cgroup", "internal/state"},
	"internal/rootfs":           {"internal/namespace", "internal/state"},
	"internal/guest":            {"internal/boot", "internal/cgroup", "internal/namespace", "internal/preinit", "internal/process", "internal/state", "internal/unit"},
	"internal/closure":          {"container", "internal/nix", "internal/nix/store", "internal/plain", "internal/state"},
	"internal/nixos":            {"container", "internal/declare", "internal/declare/conf", "internal/mountinfo", "internal/state"},
	"internal/transfer":         {"internal/archive"},
	"internal/journal":          {"internal/archive", "internal/plain"},
	"cmd/berth":                 {"internal/cli", "internal/preinit"},
}

func level(dir string) int {
	return slices.IndexFunc(levels, func(l []string) bool { return slices.Contains(l, dir) })
}

func TestImportDirection(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		own := level(s.dir)
		if own < 0 {
			t.Errorf("%s: package %s has no level yet: give it one in internal/archtest", s.name, s.dir)
			continue
		}
		for _, i := range s.imports() {
			if level(i) >= own {
				t.Errorf("%s imports %s, which is not below it", s.name, i)
			}
			if allowed, ok := only[s.dir]; ok && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s: %s may import only %q", s.name, i, s.dir, allowed)
			}
		}
	}
}

// TestTestImports holds tests to the same direction, so that no package needs
// one above it to be tested. The suites below test/ may use everything.
func TestTestImports(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		own := level(s.dir)
		if !s.test() || own < 0 {
			continue
		}
		for _, i := range s.imports() {
			if level(i) > own {
				t.Errorf("%s imports %s, which is above it", s.name, i)
			}
		}
	}
}

func TestPackageNames(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, i := range s.ast.Imports {
			p := strings.Trim(i.Path.Value, `"`)
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "manager"}, path.Base(p)) {
				t.Errorf("%s imports %s: a package is named after what it is about", s.name, p)
			}
		}
	}
}
