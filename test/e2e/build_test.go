//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/test/mini-nixos"
)

// builds has the commands of b find a Nix that builds without a sandbox and
// from nothing but what is there, and in its working directory nixpkgs, which
// is the tests' own.
func (b *berth) builds() mininixos.Set {
	b.Helper()
	s := b.systems()
	b.write("nix/nix.conf", "build-users-group =\nsubstituters =\nsandbox = false\nbuild-hook = "+s.Systems["nix"]+"/libexec/nix/build-remote\n")
	b.env = append(b.env, "NIX_CONF_DIR="+filepath.Join(b.work, "nix"), "NIX_REMOTE=", "NIX_PATH=", "HOME="+b.work)
	must(b, s.Nixpkgs(filepath.Join(b.work, "nixpkgs")))
	return s
}

// write writes a file below the working directory.
func (b *berth) write(name, text string) {
	b.Helper()
	path := filepath.Join(b.work, name)
	must(b, os.MkdirAll(filepath.Dir(path), 0o755))
	must(b, os.WriteFile(path, []byte(text), 0o644))
}

// writeFlake makes the working directory a flake with a system web, in which
// /etc/from has a text.
func (b *berth) writeFlake(text string) {
	b.Helper()
	b.write("flake.nix", `{
  inputs.nixpkgs.url = "path:`+b.work+`/nixpkgs";
  outputs = { self, nixpkgs }: {
    nixosConfigurations.web = nixpkgs.lib.nixosSystem { modules = [ { environment.etc.from.text = "`+text+`"; } ]; };
    nixosConfigurations.other = nixpkgs.lib.nixosSystem { modules = [ { environment.etc.from.text = "other `+text+`"; } ]; };
  };
}`)
}

// TestBuilt takes guests whose systems Nix builds through an update: of a
// flake, of a module as text and in a file, and of what is built already.
// TestUpdates has all kinds of guests and of updates.
func TestBuilt(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.builds()
	own := b.work // nobody has built it before
	declare := func(text, path string) {
		text += " " + own
		b.writeFlake(text)
		b.write("module.nix", `{ lib, pkgs, ... }: { environment.etc.from.text = lib.mkDefault "`+text+`"; }`)
		const common = ", privateNetwork: true, networks: [none] }\n"
		b.declare("containers:\n" +
			"  flake: { flake: '.#web'" + common +
			"  other: { flake: '.#other'" + common +
			"  text: { config: 'imports = [ ./module.nix ];', nixpkgs: ./nixpkgs" + common +
			"  file: { configFile: ./module.nix, nixosPath: ./nixpkgs/nixos" + common +
			"  path: { system: " + s.Systems[path] + common)
	}
	declare("first", "one")
	r := b.run("apply", "-y", "-f", "berth.yaml")
	b.has(r.err, "nix: evaluating flake, other\n", "nix: evaluating text, file\n", "nix: building nixos-system-text-24.11\n")
	for name, want := range map[string]string{"flake": "first " + own, "other": "other first " + own, "text": "first " + own, "file": "first " + own} {
		is(t, "file of "+name, b.in(name, "cat /etc/from"), want)
	}
	is(t, "host name of a module's guest", b.in("file", "cat /etc/hostname"), "file")
	is(t, "system of a path", b.in("path", "readlink /run/current-system"), s.Systems["one"])
	is(t, "again", strings.Count(b.run("apply", "-f", "berth.yaml").err, "nothing to do"), 5)

	declare("second", "two")
	b.has(b.out("plan", "-f", "berth.yaml"), "system: nixos-system-nixos-24.11 (", "system: nixos-system-text-24.11 (", "-nixos-system-mini-2 (")
	b.run("apply", "-y", "-f", "berth.yaml")
	for name, want := range map[string]string{"flake": "second " + own, "other": "other second " + own, "text": "second " + own, "file": "second " + own} {
		is(t, "file of "+name, b.in(name, "cat /etc/from"), want)
	}
	is(t, "system of a path", b.in("path", "readlink /run/current-system"), s.Systems["two"])
	is(t, "what is left of building", fmt.Sprint(entries(t, filepath.Join(b.root, "run/berth/built"))), "[]")
}

// entries are the names in a directory.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestBuiltOnce: a container keeps its system until somebody asks for a new
// one, and until then needs no Nix.
func TestBuiltOnce(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.builds()
	b.writeFlake("first")
	b.run("create", "web", "--flake", ".#web", "autoStart=true")
	is(t, "file", b.in("web", "cat /etc/from"), "first")
	var steps struct {
		Steps []struct{ System, Flake string }
	}
	b.writeFlake("second")
	b.declare("containers: { web: { flake: '.#web' } }")
	b.json(&steps, "plan", "-f", "berth.yaml", "--adopt", "--json")
	if f := steps.Steps[0].Flake; !strings.Contains(f, "narHash=") || !strings.HasSuffix(f, "#web") {
		t.Errorf("the flake is not locked: %s", f)
	}
	env := b.env
	b.env = append(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/nonexistent", "NIX_CONF_DIR=/nonexistent")
	r := b.run("set", "web", "labels.a=b")
	is(t, "what Nix did", strings.Contains(r.err, "nix:"), false)
	b.run("restart", "web")
	is(t, "file", b.in("web", "cat /etc/from"), "first")
	b.env = env
	b.run("set", "-y", "web", "flake=.#other")
	is(t, "file", b.in("web", "cat /etc/from"), "other second")
	b.run("set", "-y", "web", "flake=", "system="+steps.Steps[0].System)
	is(t, "file", b.in("web", "cat /etc/from"), "second")
}

// TestBuiltFlags: Nix gets its flags, and the lock file of a flake is
// honoured.
func TestBuiltFlags(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.builds()
	b.writeFlake("text")
	b.declare("containers: { web: { flake: '.#web', autoStart: false } }")
	lock := filepath.Join(b.work, "flake.lock")
	b.run("plan", "-f", "berth.yaml", "--no-write-lock-file")
	if _, err := os.Stat(lock); err == nil {
		t.Error("there is a lock file")
	}
	system := func(args ...string) string {
		t.Helper()
		var p struct{ Steps []struct{ System string } }
		b.json(&p, append([]string{"plan", "-f", "berth.yaml", "--json"}, args...)...)
		return p.Steps[0].System
	}
	locked := system()
	if _, err := os.Stat(lock); err != nil {
		t.Error(err)
	}
	must(t, s.Nixpkgs(filepath.Join(b.work, "changed")))
	b.write("changed/nixos/eval.nix", strings.Replace(b.read(filepath.Join(b.work, "nixpkgs/nixos/eval.nix")), `"24.11"`, `"25.05"`, 1))
	b.has(system("--no-write-lock-file", "--override-input", "nixpkgs", "path:"+b.work+"/changed"), "-25.05")
	is(t, "system of the lock file", system(), locked)
	b.has(system("--override-input", "nixpkgs", "path:"+b.work+"/changed", "--option", "cores", "1"), "-25.05")
	is(t, "system of the lock file", system(), locked)
	b.write("nixpkgs/nixos/eval.nix", b.read(filepath.Join(b.work, "changed/nixos/eval.nix")))
	is(t, "system of the lock file", system(), locked)
	b.has(system("--update-input", "nixpkgs"), "-25.05")
	b.has(system(), "-25.05") // as the lock file now says
	b.has(b.fails(2, "plan", "-f", "berth.yaml", "--option", "cores").err, "--option NAME VALUE")
	b.has(b.fails(2, "plan", "--exec").err, "unknown flag")

	b.write("module.nix", `{ environment.etc.from.text = builtins.getEnv "HOME" + toString (builtins.readFile <here>); }`)
	b.write("here", "found")
	b.declare("containers: { web: { configFile: ./module.nix, autoStart: false } }")
	b.has(b.fails(1, "plan", "-f", "berth.yaml").err, "web: file 'nixpkgs/nixos' was not found", "hint: name where nixpkgs is")
	b.run("plan", "-f", "berth.yaml", "-I", "nixpkgs="+b.work+"/nixpkgs", "-I", "here="+b.work+"/here")
}

// TestBuiltRefused: what cannot be built is told before anything is made.
func TestBuiltRefused(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.builds()
	b.writeFlake("text")
	b.write("broken.nix", `{ pkgs, ... }: { environment.systemPackages = [ (pkgs.runCommand "broken" { } "echo it cannot work >&2; exit 7") ]; }`)
	for args, want := range map[string]string{
		"--flake .#none":             "web: the flake " + b.work + " has neither nixosConfigurations.none nor none\nhint: nix flake show",
		"--flake ./none#a":           "web: ",
		"--config {x=1;}":            "The option `x.' does not exist. Definition values:\n    - In `config'",
		"--config y=1":               "at config:1:2",
		"--config-file ./no":         "No such file or directory",
		"--config-file ./broken.nix": "the builder of broken failed with exit code 7, and said last:\n    it cannot work\nhint: nix-store --read-log /nix/store/",
	} {
		r := b.fails(1, append([]string{"create", "web"}, append(strings.Fields(args), nixpkgsFor(args)...)...)...)
		b.has(r.err, want)
		is(t, "answer", r.out, "")
	}
	is(t, "containers", b.out("ls", "-q"), "")
	env := b.env
	defer func() { b.env = env }()
	b.env = append(env, "PATH=/nonexistent")
	if _, err := os.Stat("/nix/var/nix/profiles/default/bin/nix-store"); err != nil {
		b.has(b.fails(1, "create", "web", "--flake", ".#web").err, "web: this host has no Nix: there is no nix", "hint: install Nix, or build the system elsewhere")
	}
}

func nixpkgsFor(args string) []string {
	if strings.HasPrefix(args, "--config") {
		return []string{"--nixpkgs", "./nixpkgs"}
	}
	return nil
}

// TestBuiltDerivation builds what somebody else has evaluated.
func TestBuiltDerivation(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.builds()
	b.write("system.nix", `(import ./nixpkgs/nixos { configuration.environment.etc.from.text = "derivation"; }).system`)
	drv := b.evaluated(s, "system.nix")
	b.run("create", "web", "--system-path", drv, "--start")
	is(t, "file", b.in("web", "cat /etc/from"), "derivation")
	b.has(b.out("show", "web"), "system: /nix/store/", "-nixos-system-nixos-24.11\n")
}

// evaluated is the derivation that a file of the working directory is.
func (b *berth) evaluated(s mininixos.Set, file string) string {
	b.Helper()
	return b.nix(s, "nix-instantiate", filepath.Join(b.work, file))
}

// nixOutput builds a derivation, and is the store path that it makes.
func (b *berth) nixOutput(s mininixos.Set, derivation string) string {
	b.Helper()
	return b.nix(s, "nix-store", "--realise", derivation)
}

// nix runs a program of Nix, the one that the commands of b use, and returns
// what it writes.
func (b *berth) nix(s mininixos.Set, program string, args ...string) string {
	b.Helper()
	path := filepath.Join(s.Nix, program)
	if found, err := exec.LookPath(program); err == nil {
		path = found
	}
	cmd := exec.CommandContext(b.Context(), path, args...)
	cmd.Dir = b.work
	cmd.Env = append(os.Environ(), b.env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s %q: %v\n%s", program, args, err, said.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// TestBuiltLeftovers removes what a killed command has left of a build, and
// nothing of one that goes on.
func TestBuiltLeftovers(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.builds()
	b.write("slow.nix", `{ pkgs, ... }: { environment.systemPackages = [ (pkgs.runCommand "slow" { } "echo `+b.work+` >$out; while [ -e `+b.work+`/wait ]; do sleep 0.1; done") ]; }`)
	b.write("wait", "")
	cmd := b.command(t.Context(), "create", "web", "--config-file", "./slow.nix", "--nixpkgs", "./nixpkgs")
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	for said := (&lines{b, bufio.NewReader(stderr)}); said.line() != "nix: building slow"; {
	}
	built := filepath.Join(b.root, "run/berth/built")
	mine := entries(t, built)
	must(t, os.MkdirAll(filepath.Join(built, "left"), 0o700))
	b.declare("containers: { k: { image: $TINY, autoStart: false } }")
	b.run("apply", "-f", "berth.yaml")
	is(t, "what is left", fmt.Sprint(entries(t, built)), fmt.Sprint(mine))
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	must(t, os.Remove(filepath.Join(b.work, "wait")))
	is(t, "containers", b.out("ls", "-q"), "k")
	b.run("create", "web", "--config-file", "./slow.nix", "--nixpkgs", "./nixpkgs")
	b.until("the Nix of the killed command ends", func() bool {
		return !slices.ContainsFunc(processes(b.root), func(p string) bool { return strings.Contains(p, "nix-store") })
	})
	b.run("set", "web", "labels.after=all") // that Nix may have made its link only now
	is(t, "what is left", fmt.Sprint(entries(t, built)), "[]")
}

// TestNixDeclaration applies declarations in Nix: a file, with modules that are
// evaluated together with it, and a flake.
func TestNixDeclaration(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.builds()
	declare := func(text string) {
		b.write("berth.nix", `{ nixpkgs ? ./nixpkgs }:
let
  web = n: { name = "web${toString n}"; value = {
    config = { pkgs, ... }: { environment.etc.from.text = "`+text+` ${toString n}"; };
    inherit nixpkgs;
    privateNetwork = true; networks = [ "none" ];
  }; };
in
{
  containers = builtins.listToAttrs (map web [ 1 2 ]) // {
    text = { config = "environment.etc.from.text = \"`+text+`\";"; inherit nixpkgs; autoStart = false; };
    built = { system = (import (nixpkgs + "/nixos") { configuration = { }; }).system; autoStart = false; };
  };
}`)
	}
	declare("first")
	r := b.run("up")
	is(t, "evaluations", strings.Count(r.err, "nix: evaluating"), 2) // the declaration, and what is text
	is(t, "file", b.in("web2", "cat /etc/from; echo; cat /etc/hostname"), "first 2\nweb2")
	is(t, "again", strings.Count(b.run("up").err, "nothing to do"), 4)
	leader := b.status("web1").Leader
	declare("second")
	b.has(b.out("plan", "-f", "berth.nix"), "web1: update", "system: ", "built: nothing to do")
	is(t, "leader", b.status("web1").Leader, leader)
	b.run("up", "-y")
	is(t, "file", b.in("web1", "cat /etc/from"), "second 1")
	b.has(b.out("ls"), "file:"+b.work+"/berth.nix")
	b.run("down")

	b.write("broken.nix", "{\n  containers.web1 = {\n    imgae = \"x\"; config = { }; nixpkgs = ./nixpkgs;\n  };\n}")
	b.has(b.fails(2, "plan", "-f", "broken.nix").err, `berth: broken.nix:3:5: containers.web1.imgae: unknown key; did you mean "image"?`)
	b.write("broken.nix", "{ containers.web1 = { config = { x.y = 1; }; nixpkgs = ./nixpkgs; }; }")
	b.has(b.fails(1, "plan", "-f", "broken.nix").err, "berth: broken.nix: web1: The option `x.y' does not exist")
	b.run("destroy", "-y", "--all")

	b.write("flake/flake.nix", `{
  inputs.nixpkgs.url = "path:`+b.work+`/nixpkgs";
  outputs = { self, nixpkgs }: {
    nixosConfigurations.web = nixpkgs.lib.nixosSystem { modules = [ { environment.etc.from.text = "flake"; } ]; };
    berthContainers = {
      web = { system = self.nixosConfigurations.web.config.system.build.toplevel; };
      module = { config.environment.etc.from.text = "module"; inherit nixpkgs; };
    };
  };
}`)
	b.run("apply", "-f", "./flake")
	is(t, "files", b.in("web", "cat /etc/from")+b.in("module", "cat /etc/from"), "flakemodule")
	b.write("flake/flake.nix", strings.Replace(b.read(filepath.Join(b.work, "flake/flake.nix")), "web = { system", "web = { sytem", 1))
	b.has(b.fails(2, "apply", "-f", "./flake").err, "flake/flake.nix:6:15: containers.web.sytem: unknown key")
}

// TestBuiltProgress: a terminal shows what Nix does in one line, which is gone
// at the end.
func TestBuiltProgress(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.builds()
	b.writeFlake(b.work)
	term := b.onTerminal("plan", "-f", b.declare("containers: { web: { flake: '.#web', privateNetwork: true, networks: [none] } }"))
	term.await("\r\x1b\\[Knix: evaluating web")
	term.await(`nix: \d of \d+ built: building nixos-system-nixos-24.11`)
	term.await("\r\x1b\\[Kweb: create, start")
	is(t, "exit code", term.code(), 0)
}
