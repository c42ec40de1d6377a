//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpdates is each way to a system, with a root that lasts and one that does
// not, with a user namespace and without, in each kind of update: all of these
// with all of those. The guests of one way are in one berth, and come one after
// the other.
func TestUpdates(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"flake", "config", "path", "cache"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			s := newUpdateSource(t, source)
			for _, ephemeral := range []bool{false, true} {
				for _, users := range []string{"pick", "no"} {
					root := map[bool]string{false: "stateful", true: "ephemeral"}[ephemeral]
					t.Run(fmt.Sprintf("%s, users %s", root, users), func(t *testing.T) {
						u := &updated{updateSource: s.with(t), name: root + "-" + users, ephemeral: ephemeral, users: users}
						u.create()
						for _, k := range updateKinds {
							t.Run(k.name, func(t *testing.T) { u.in(t).update(k) })
						}
						u.run("destroy", "-y", u.name)
					})
				}
			}
			if source == "cache" {
				s.run("nix", "gc")
				is(t, "what is left of the store", s.out("nix", "ls", "--json"), "[]")
				must(t, os.Remove(filepath.Join(s.root, "etc/berth/berth.yaml")))
			}
		})
	}
}

// updateKind is what an update changes, and how it has to end.
type updateKind struct {
	name   string
	system bool // another system
	bad    bool // one with a unit that fails
	shell  bool // a mount more, which takes a restart
	boots  int  // that it takes
	code   int
}

var updateKinds = []updateKind{
	{name: "healthy", system: true},
	{name: "unhealthy", system: true, bad: true, code: 5},
	{name: "shell", shell: true, boots: 1},
	{name: "both", system: true, shell: true, boots: 1},
	{name: "both, unhealthy", system: true, bad: true, shell: true, boots: 2, code: 5}, // there and back
}

// updateSource is a berth whose containers have their systems from one kind of
// source.
type updateSource struct {
	*berth
	kind  string
	built map[string]string // store paths by the versions of their modules
}

// newUpdateSource builds the systems that all sources lead to.
func newUpdateSource(t testing.TB, kind string) *updateSource {
	t.Helper()
	s := &updateSource{berth: newBerth(t), kind: kind, built: map[string]string{}}
	nixpkgs := s.builds()
	args := []string{"--realise"}
	for _, version := range []string{"one", "two", "bad"} {
		s.write(version+".nix", s.module(version))
		s.write("build-"+version+".nix", "(import ./nixpkgs/nixos { configuration = ./"+version+".nix; }).system")
		args = append(args, s.evaluated(nixpkgs, "build-"+version+".nix"))
	}
	paths := strings.Fields(s.nix(nixpkgs, "nix-store", args...))
	s.built["one"], s.built["two"], s.built["bad"] = paths[0], paths[1], paths[2]
	if kind == "cache" {
		must(t, os.MkdirAll(filepath.Join(s.root, "etc/berth"), 0o755))
		must(t, os.WriteFile(filepath.Join(s.root, "etc/berth/berth.yaml"), []byte("nix: { trustedPublicKeys: ['"+s.fillCache(nixpkgs, paths...)+"'] }\n"), 0o600))
	}
	return s
}

// module is a system of a version, in which one service is that of all others.
func (s *updateSource) module(version string) string {
	broken := ""
	if version == "bad" {
		broken = `systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig = { Type = "oneshot"; ExecStart = "${pkgs.bash}/bin/bash -c 'echo it cannot work >&2; exit 7'"; }; };`
	}
	return `{ pkgs, ... }: {
  networking.hostName = "updated";
  environment.etc.version.text = "` + version + `";
  systemd.services.steady = { wantedBy = [ "multi-user.target" ]; serviceConfig.ExecStart = "${pkgs.busybox}/bin/sleep infinity"; };
  systemd.services.changed = { wantedBy = [ "multi-user.target" ]; serviceConfig = { Environment = "VERSION=` + version + `"; ExecStart = "${pkgs.busybox}/bin/sleep infinity"; }; };
  ` + broken + `
}`
}

// keys have a container's source stand for a version.
func (s *updateSource) keys(name, version string) string {
	s.Helper()
	switch s.kind {
	case "flake":
		s.write(name+"/system.nix", s.module(version))
		s.write(name+"/flake.nix", `{
  inputs.nixpkgs.url = "path:`+s.work+`/nixpkgs";
  outputs = { self, nixpkgs }: { nixosConfigurations.web = nixpkgs.lib.nixosSystem { modules = [ ./system.nix ]; }; };
}`)
		return "flake: './" + name + "#web'"
	case "config":
		return "config: 'imports = [ ./" + version + ".nix ];', nixpkgs: ./nixpkgs"
	case "cache":
		return "system: cache+file://" + s.work + "/cache/" + filepath.Base(s.built[version])
	}
	link := filepath.Join(s.work, name)
	must(s, os.RemoveAll(link))
	must(s, os.Symlink(s.built[version], link))
	return "system: ./" + name
}

// with is the same for a part of the test.
func (s *updateSource) with(t testing.TB) *updateSource {
	b, c := *s.berth, *s
	b.TB, c.berth = t, &b
	return &c
}

// updated is a container that is taken through updates.
type updated struct {
	*updateSource
	name, users string
	ephemeral   bool
	version     string   // of its system
	mounts      []string // that it has
	seen        updatedState
}

func (u *updated) in(t testing.TB) *updated {
	c := u.updateSource
	u.updateSource = c.with(t)
	t.Cleanup(func() { u.updateSource = c })
	return u
}

// declare declares the container with a version of its system and mounts.
func (u *updated) declare(version string, mounts ...string) {
	u.Helper()
	u.write(u.name+".yaml", fmt.Sprintf("containers: { %s: { %s, ephemeral: %v, privateUsers: %s, tmpfs: [%s], privateNetwork: true, networks: [none] } }\n",
		u.name, u.keys(u.name, version), u.ephemeral, u.users, strings.Join(mounts, ", ")))
}

func (u *updated) apply(code int) result {
	u.Helper()
	return u.fails(code, "apply", "-y", "-f", u.name+".yaml")
}

func (u *updated) create() {
	u.Helper()
	u.version = "one"
	u.declare(u.version)
	u.apply(0)
	is(u, "state of the guest", u.guest("systemctl is-system-running --wait"), "running")
	is(u, "whether its system is of berth's own store", strings.Contains(u.out("nix", "ls"), u.name), u.kind == "cache")
	u.seen = u.look(1)
}

func (u *updated) guest(script string) string {
	u.Helper()
	return u.updateSource.in(u.name, script)
}

// updatedState is what a guest, and berth about it, say that it is.
type updatedState struct {
	generation         int
	version            string // as the guest and all of berth's answers say
	boot, steady, data string
	boots              int // since it was made
	mounted            int
	failed             int // generations that were undone
	changed, state     string
}

// look asks the guest, generations and status, which have to say the same, once
// the console tells of so many boots: it may come late on a busy machine. What a
// guest says before its systemd, that may discard as it takes the console.
func (u *updated) look(boots int) (s updatedState) {
	u.Helper()
	var kept []generation
	u.json(&kept, "generations", u.name, "--json")
	current := ""
	for _, g := range kept {
		if g.Next {
			u.Errorf("the next start takes another generation: %+v", g)
		}
		if g.Failed != "" {
			s.failed++
		}
		if g.Current {
			s.generation, current = g.Number, g.System
		}
	}
	var told []struct {
		Generation int
		System     string
		Pending    []change
	}
	u.json(&told, "status", u.name, "--json")
	is(u, "what is pending", fmt.Sprint(told[0].Pending), "[]")
	is(u, "generation by status", told[0].Generation, s.generation)
	is(u, "system by status", told[0].System, current)
	f := strings.Split(u.guest(`readlink /run/current-system; cat /etc/version; echo
		cat /proc/sys/kernel/random/boot_id; systemctl show -P MainPID steady
		cat /var/lib/data 2>/dev/null || echo none
		systemctl show -P Environment changed
		grep -c ' /scratch' /proc/self/mountinfo || :
		systemctl is-system-running --wait || :`), "\n")
	if len(f) != 8 {
		u.Fatalf("the guest tells %q", f)
	}
	is(u, "system by the guest", f[0], current)
	is(u, "system that was built", current, u.built[f[1]])
	s.version, s.boot, s.steady, s.data, s.changed, s.state = f[1], f[2], f[3], f[4], f[5], f[7]
	_, err := fmt.Sscan(f[6], &s.mounted)
	must(u, err)
	u.until(fmt.Sprintf("the console tells of %d boots", boots), func() bool {
		s.boots = strings.Count(u.run("logs", "--console", u.name).out, "running in system mode")
		return s.boots >= boots
	})
	return s
}

// update takes the guest through an update of a kind.
func (u *updated) update(k updateKind) {
	u.Helper()
	data := "kept by " + k.name
	u.guest("echo '" + data + "' >/var/lib/data")
	before := u.seen // since when nothing has happened to it
	is(u, "version before", before.version, u.version)
	to, mounts := u.version, u.mounts
	switch {
	case k.bad:
		to = "bad"
	case k.system:
		to = map[string]string{"one": "two", "two": "one"}[u.version]
	}
	if k.shell {
		mounts = append(mounts[:len(mounts):len(mounts)], fmt.Sprintf("/scratch%d", before.boots))
	}
	u.declare(to, mounts...)
	r := u.apply(k.code)
	u.has(r.err, map[bool]string{false: "effect switch", true: "effect restart"}[k.shell])
	u.seen = u.look(before.boots + k.boots)
	if !k.bad {
		u.version, u.mounts = to, mounts
		u.compare(k, before, u.seen, data)
		return
	}
	u.has(r.err, "broken.service failed", "it cannot work", fmt.Sprintf("it has generation %d again", before.generation))
	u.compare(k, before, u.seen, data)
	u.declare(u.version, u.mounts...)
	u.has(u.apply(0).err, u.name+": nothing to do\n")
}

// compare tells whether a guest is what it has to be after an update.
func (u *updated) compare(k updateKind, before, after updatedState, data string) {
	u.Helper()
	is(u, "version", after.version, u.version)
	is(u, "service of it", after.changed, "VERSION="+u.version)
	is(u, "state", after.state, "running")
	is(u, "mounts", after.mounted, len(u.mounts))
	is(u, "boots", after.boots-before.boots, k.boots)
	is(u, "same boot", after.boot == before.boot, k.boots == 0)
	if k.boots == 0 {
		is(u, "untouched service", after.steady, before.steady)
	}
	if k.boots > 0 && u.ephemeral {
		data = "none"
	}
	is(u, "data", after.data, data)
	if k.bad {
		is(u, "generation", after.generation, before.generation)
		is(u, "undone generations", after.failed, before.failed+1)
	} else if k.system {
		is(u, "generation", after.generation, before.generation+before.failed+1)
	}
}
