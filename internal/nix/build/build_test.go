package build

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
)

// bench is a directory with flakes and modules whose systems the machine's Nix
// builds in an instant: of /bin/sh alone.
type bench struct {
	*testing.T
	dir string
	Builder
}

// newBench needs Nix. Names in its systems are the test's own, so that nobody
// has built them before.
func newBench(t *testing.T) *bench {
	t.Helper()
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		t.Fatalf("the test needs nix-bin: %v", err)
	}
	b := &bench{T: t, dir: t.TempDir()}
	b.Roots = b.TempDir()
	b.write("nix.conf", "build-users-group =\nsubstituters =\nsandbox = false\n")
	t.Setenv("NIX_CONF_DIR", b.dir)
	t.Setenv("NIX_REMOTE", "")
	t.Setenv("NIX_PATH", "")
	t.Setenv("HOME", b.dir)
	b.write("system.nix", `{ name, script ? "", system ? builtins.currentSystem }: derivation {
  inherit name system;
  stamp = "`+filepath.Base(b.dir)+fmt.Sprint(os.Getpid())+`";
  builder = "/bin/sh";
  PATH = "/usr/bin:/bin";
  args = [ "-euc" "echo building; mkdir $out; echo $name > $out/init; ${script} :" ];
}`)
	b.write("nixpkgs/nixos/default.nix", `{ configuration }:
let
  apply = m: if builtins.isPath m then apply (import m) else if builtins.isFunction m then m { lib.mkDefault = x: x; options.boot = { }; config = { }; pkgs = { }; } else m;
  flat = m: let v = apply m; in builtins.foldl' (a: b: a // flat b) (removeAttrs v [ "imports" ]) (v.imports or [ ]);
  c = flat configuration;
in { config = c // { system.build.toplevel = import ../../system.nix { name = "${c.networking.hostName}-${c.kind or "plain"}"; script = c.script or ""; }; }; }`)
	b.write("flake/system.nix", b.read("system.nix"))
	b.write("flake/flake.nix", `{ outputs = { self }: let mk = name: script: import ./system.nix { inherit name script; system = "x86_64-linux"; };
    system = name: script: { config.system.build.toplevel = mk name script; }; in {
    nixosConfigurations = { a = system "a" ""; b = system "b" ""; "c.example.com" = system "c" ""; container = system "container" "";
      bad = throw "this is bad"; broken = system "broken" "echo it cannot work; exit 7;"; };
    packages.x86_64-linux.package = mk "package" "";
    other.deep = system "deep" ""; number = 7; }; }`)
	return b
}

func (b *bench) read(name string) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

func (b *bench) write(name, text string) {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		b.Fatal(err)
	}
}

// build returns the names of the systems that sources become, and has them
// collected at the end.
func (b *bench) build(sources ...Source) string {
	b.Helper()
	built, err := b.Build(b.Context(), sources)
	if err != nil {
		return err.Error()
	}
	var names []string
	for i, s := range built {
		text, err := os.ReadFile(string(s.System) + "/init")
		if err != nil {
			b.Error(err)
		}
		names = append(names, strings.TrimSpace(string(text)))
		if s.Flake != "" && (!strings.Contains(s.Flake, "narHash=") || sources[i].Flake == "") {
			b.Errorf("%s is not locked", s.Flake)
		}
		b.Cleanup(func() {
			_ = os.RemoveAll(b.Roots)
			_ = exec.Command("nix-store", "--delete", string(s.System)).Run()
		})
	}
	return strings.Join(names, " ")
}

func TestBuild(t *testing.T) {
	b := newBench(t)
	flake := "path:" + b.dir + "/flake"
	nixpkgs := b.dir + "/nixpkgs"
	b.write("modules/module.nix", `{ kind = "file"; }`)
	got := b.build(
		Source{Name: "w1", Flake: flake + "#a"},
		Source{Name: "w2", Config: `{ kind = "text"; }`, Nixpkgs: nixpkgs},
		Source{Name: "w3", Flake: flake + "#c.example.com"},
		Source{Name: "w4", Flake: flake},
		Source{Name: "w5", Flake: flake + "#package"},
		Source{Name: "w6", Flake: flake + "#other.deep"},
		Source{Name: "w7", Flake: flake + "#nixosConfigurations.b"},
		Source{Name: "w8", Config: `kind = "definitions"; # here`, NixOSPath: nixpkgs + "/nixos"},
		Source{Name: "w9", Config: `{ imports = [ ./module.nix ]; }`, Dir: b.dir + "/modules", Nixpkgs: nixpkgs},
		Source{Name: "w10", ConfigFile: b.dir + "/modules/module.nix", Nixpkgs: nixpkgs},
		Source{Name: "w11", Flake: flake + "#a"},
	)
	if want := "a w2-text c container package deep b w8-definitions w9-file w10-file a"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestBuildOnce has one evaluation for a flake, one for modules, and one run of
// the build.
func TestBuildOnce(t *testing.T) {
	b := newBench(t)
	bin, seen := b.dir+"/bin", b.dir+"/seen"
	for _, name := range []string{"nix", "nix-store", "nix-instantiate"} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		b.write("bin/"+name, "#!/bin/sh\necho "+name+" $1 >>"+seen+"\nexec "+real+" \"$@\"\n")
		if err := os.Chmod(bin+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	flake := "path:" + b.dir + "/flake"
	module := func(n container.Name) Source { return Source{Name: n, Config: "{ }", Nixpkgs: b.dir + "/nixpkgs"} }
	if got := b.build(Source{Name: "x", Flake: flake + "#a"}, Source{Name: "y", Flake: flake + "#b"}, module("m"), module("n")); got != "a b m-plain n-plain" {
		t.Error(got)
	}
	if got, want := b.read("seen"), "nix eval\nnix flake\nnix-instantiate --add-root\nnix-store --realise\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBuildRefused(t *testing.T) {
	b := newBench(t)
	flake, nixpkgs := "path:"+b.dir+"/flake", b.dir+"/nixpkgs"
	for want, s := range map[string]Source{
		"x: this is bad": {Flake: flake + "#bad"},
		"x: the flake " + flake + " has neither nixosConfigurations.none nor none":                             {Flake: flake + "#none"},
		"x: it is neither a NixOS system nor a package":                                                        {Flake: flake + "#number"},
		"the builder of broken failed with exit code 7, and said last:\n    building\n    it cannot work":      {Flake: flake + "#broken"},
		"x: undefined variable 'y', at config:2:8":                                                             {Config: "{\n  kind=y; }", Nixpkgs: nixpkgs},
		"x: syntax error, unexpected '}', at config:1:7":                                                       {Config: "{ x = }", Nixpkgs: nixpkgs},
		"x: file 'nixpkgs/nixos' was not found in the Nix search path (add it using $NIX_PATH or -I)":          {Config: "{ }"},
		"x: file '" + b.dir + "/no/nixos' was not found in the Nix search path (add it using $NIX_PATH or -I)": {Config: "{ }", Nixpkgs: b.dir + "/no"},
	} {
		s.Name = "x"
		got := b.build(s)
		got, _, _ = strings.Cut(got, ", at «string»")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
	got := b.build(Source{Name: "good", Config: "{ }", Nixpkgs: nixpkgs}, Source{Name: "wrong", Config: "{ kind = z; }", Nixpkgs: nixpkgs})
	if !strings.HasPrefix(got, "wrong: undefined variable 'z'") {
		t.Errorf("of two modules: %s", got)
	}
	got = b.build(Source{Name: "good", Flake: flake + "#a"}, Source{Name: "wrong", Flake: flake + "#bad"})
	if !strings.HasPrefix(got, "wrong: this is bad") {
		t.Errorf("of two systems of a flake: %s", got)
	}
}

// TestKept: what is built is not collected before its roots are gone.
func TestKept(t *testing.T) {
	b := newBench(t)
	built, err := b.Build(t.Context(), []Source{{Name: "kept", Config: "{ }", Nixpkgs: b.dir + "/nixpkgs"}})
	if err != nil {
		t.Fatal(err)
	}
	remove := func() error { return exec.Command("nix-store", "--delete", string(built[0].System)).Run() }
	if remove() == nil {
		t.Error("it was collected")
	}
	if err := os.RemoveAll(b.Roots); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Errorf("it cannot be collected: %v", err)
	}
}

// TestAcceptedSettings: what a flake says of how to build counts, where the
// user has accepted it.
func TestAcceptedSettings(t *testing.T) {
	b := newBench(t)
	b.write("flake/flake.nix", strings.Replace(b.read("flake/flake.nix"), "{ outputs", "{ nixConfig = { cores = 5; substituters = [ ]; fallback = true; }; outputs", 1))
	source := []Source{{Name: "x", Flake: "path:" + b.dir + "/flake#a"}}
	if got, err := b.settings(t.Context(), source); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	b.Flags = Flags{"--accept-flake-config"}
	got, err := b.settings(t.Context(), source)
	if all := strings.Join(got, " "); err != nil || !strings.Contains(all, "--option cores 5") || !strings.Contains(all, "--option fallback true") {
		t.Errorf("%q, %v", got, err)
	}
	if got := b.build(source...); got != "a" {
		t.Error(got)
	}
}

// TestLazyNix has a Nix that does not copy a flake when it looks at it, which
// those since 2.35 do not.
func TestLazyNix(t *testing.T) {
	b := newBench(t)
	b.write("flake/flake.nix", "{ nixConfig.cores = 5; outputs = { self }: { berthContainers.web = { image = \"debian:trixie\"; bindMounts.\"/x\".hostPath = ./system.nix; }; }; }")
	real, err := exec.LookPath("nix")
	if err != nil {
		t.Fatal(err)
	}
	b.write("bin/nix", `#!/bin/sh
cd `+b.dir+`
`+real+` "$@" >answer || exit
cat answer
case "$*" in
*metadata*) grep -o '"path":"/nix/store/[^"]*' answer | cut -d'"' -f4 >copied ;;
*fetchTree*) exit ;;
esac
nix-store --delete $(cat copied) >&2 2>/dev/null
`)
	if err := os.Chmod(b.dir+"/bin/nix", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", b.dir+"/bin:"+os.Getenv("PATH"))
	b.Flags = Flags{"--accept-flake-config"}
	if got, err := b.settings(t.Context(), []Source{{Flake: "path:" + b.dir + "/flake"}}); err != nil || strings.Join(got, " ") != "--option cores 5" {
		t.Errorf("%q, %v", got, err)
	}
	d, err := b.Declaration(t.Context(), b.dir+"/flake")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Stored + "/system.nix"); err != nil {
		t.Error(err)
	}
}

func TestNoNix(t *testing.T) {
	t.Setenv("PATH", "/nonexistent")
	if _, err := os.Stat("/nix/var/nix/profiles/default/bin/nix-store"); err == nil {
		t.Skip("this machine's Nix is found without PATH")
	}
	_, err := Builder{Roots: t.TempDir()}.Build(t.Context(), []Source{{Name: "x", Config: "{ }"}})
	var e *container.Error
	if !errors.Is(err, nix.ErrNoNix) || !errors.As(err, &e) || !strings.Contains(e.Hint, "berth nix pull") {
		t.Errorf("%v", err)
	}
}
