package build

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// said evaluates a declaration, and gives its tree.
func (b *bench) said(from string) string {
	b.Helper()
	d, err := b.Declaration(b.Context(), from)
	if err != nil {
		return strings.ReplaceAll(err.Error(), b.dir, "DIR")
	}
	var v any
	if err := json.Unmarshal(d.Tree, &v); err != nil {
		b.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	out := strings.ReplaceAll(string(text), b.dir, "DIR")
	if d.Stored != "" {
		out = strings.ReplaceAll(out, d.Stored, "STORED")
	}
	return out
}

func TestDeclaration(t *testing.T) {
	b := newBench(t)
	b.write("berth.nix", `{ n ? 3 }: {
  x-shared = x: x;
  containers.web = {
    image = "debian:trixie"; bindMounts."/x".hostPath = ./x;
    limits = { tasksMax = n; };
    list = [ 1.5 true null "a" { b = x: x; } ];
  };
  inherit (import ./other.nix) networks;
}`)
	b.write("other.nix", "{\n  networks = builtins.mapAttrs (_: v: v) { a = 1; }; }")
	want := `{"m":[{"k":"containers","p":["DIR/berth.nix",3,3],"v":{"m":[{"k":"web","p":["DIR/berth.nix",3,3],"v":{"m":[` +
		`{"k":"bindMounts","p":["DIR/berth.nix",4,30],"v":{"m":[{"k":"/x","p":["DIR/berth.nix",4,30],"v":{"m":[{"k":"hostPath","p":["DIR/berth.nix",4,30],"v":{"v":"DIR/x"}}]}}]}},` +
		`{"k":"image","p":["DIR/berth.nix",4,5],"v":{"v":"debian:trixie"}},` +
		`{"k":"limits","p":["DIR/berth.nix",5,5],"v":{"m":[{"k":"tasksMax","p":["DIR/berth.nix",5,16],"v":{"v":3}}]}},` +
		`{"k":"list","p":["DIR/berth.nix",6,5],"v":{"l":[{"v":1.5},{"v":true},{"v":null},{"v":"a"},{"m":[{"k":"b","p":["DIR/berth.nix",6,34],"v":{"f":true}}]}]}}]}}]}},` +
		`{"k":"networks","p":["DIR/berth.nix",8,32],"v":{"m":[{"k":"a","p":null,"v":{"v":1}}]}},` +
		`{"k":"x-shared","p":["DIR/berth.nix",2,3],"v":{"v":null}}]}`
	got := b.said(b.dir + "/berth.nix")
	got = strings.Replace(got, `["DIR/berth.nix",8,31]`, `["DIR/berth.nix",8,32]`, 1) // as 2.8 has it
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestDeclarationModules has modules and systems in declarations: they are
// evaluated with them, and built later.
func TestDeclarationModules(t *testing.T) {
	b := newBench(t)
	b.write("berth.nix", `{
  containers.web = { config = { pkgs, ... }: { kind = "function"; }; nixpkgs = ./nixpkgs; };
  containers.list = { config = [ { kind = "list"; } ]; nixosPath = ./nixpkgs/nixos; };
  containers.built.system = import ./system.nix { name = "built"; };
}`)
	b.write("flake/nixos/default.nix", strings.Replace(b.read("nixpkgs/nixos/default.nix"), `../../system.nix {`, `../system.nix { system = "x86_64-linux";`, 1))
	b.write("flake/flake.nix", `{ outputs = { self }: { berthContainers = {
  web = { config = { kind = "flake"; }; nixpkgs = self; };
}; }; }`)
	for from, want := range map[string]string{b.dir + "/berth.nix": "built list-list web-function", b.dir + "/flake": "web-flake"} {
		tree := b.said(from)
		var built []string
		for _, drv := range derivationPath().FindAllString(tree, -1) {
			built = append(built, b.build(Source{Name: "x", Derivation: drv}))
		}
		if got := strings.Join(built, " "); got != want {
			t.Errorf("%s: %s, want %s\n%s", from, got, want, tree)
		}
		if from == b.dir+"/flake" && !strings.Contains(tree, `"k":"web","p":["STORED/flake.nix",2,3]`) {
			t.Errorf("no place in %s", tree)
		}
	}
}

func TestDeclarationRefused(t *testing.T) {
	b := newBench(t)
	file := func(text string) string {
		b.write("berth.nix", text)
		return b.dir + "/berth.nix"
	}
	for text, want := range map[string]string{
		`{ containers.web = { config = { kind = y; }; nixpkgs = ./nixpkgs; }; }`:          "undefined variable 'y', at DIR/berth.nix:1:40",
		`{ containers.web = { config = { kind = throw "no"; }; nixpkgs = ./nixpkgs; }; }`: "DIR/berth.nix: web: no",
		`{ containers.web = { config = { }; }; }`:                                         "DIR/berth.nix: web: config is a module, and nothing says what to build it with",
		`let a = { inherit a; }; in { containers.web.labels = a; }`:                       "values are nested more than 32 deep",
		`{ containers.web = {`: "DIR/berth.nix: syntax error, unexpected end of file",
	} {
		if got := b.said(file(text)); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := b.said(b.dir + "/flake"); !strings.Contains(got, "the flake has no output berthContainers") {
		t.Error(got)
	}
	if got := b.said("path:" + b.dir + "/none"); !strings.Contains(got, "path:DIR/none: ") {
		t.Error(got)
	}
}

// TestDeclarationInSubdirectory has a flake that is not at the top of its
// repository: places are those of the files on this machine.
func TestDeclarationInSubdirectory(t *testing.T) {
	b := newBench(t)
	b.write("repository/sub/flake.nix", "{ outputs = { self }: { berthContainers.web.image = \"debian:trixie\"; }; }")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		if out, err := exec.Command("git", append([]string{"-C", b.dir + "/repository"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	d, err := b.Declaration(t.Context(), b.dir+"/repository/sub/flake.nix")
	if err != nil || d.Dir != b.dir+"/repository" || d.File != b.dir+"/repository/sub/flake.nix" {
		t.Errorf("%+v, %v", d, err)
	}
	if !strings.Contains(string(d.Tree), d.Stored+"/sub/flake.nix") {
		t.Errorf("%s, stored in %s", d.Tree, d.Stored)
	}
}
