package nixos

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	update = flag.Bool("update", false, "write the golden files, the reference and the hash anew")
	libDir = flag.String("lib", "", "the directory of nixpkgs' lib, which is used instead of the stand-in")
)

// modules is the directory with the modules.
const modules = "../../nix"

// evaluate gives the value of an expression of Nix. In scope are lib, eval,
// which evaluates a host with a module, and host, its configuration.
func evaluate(t *testing.T, expression string, into any) {
	t.Helper()
	dir, err := os.Getwd()
	must(t, err)
	lib := filepath.Join(dir, "lib.nix")
	if *libDir != "" {
		lib = *libDir
	}
	prelude := fmt.Sprintf(`let here = %s; lib = import %s; eval = module: import (here + "/evaluate.nix") { inherit lib module; }; host = module: (eval module).config; in `, dir, lib)
	out := nix(t, "nix-instantiate", "--eval", "--strict", "--json", "--expr", prelude+expression)
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
}

func nix(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.Bytes())
	}
	return out
}

// golden compares text with what was looked at once.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got; make docs writes it anew):\n%s", path, diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestParse reads every file, those for machines that boot included.
func TestParse(t *testing.T) {
	t.Parallel()
	args := []string{"--parse"}
	for _, dir := range []string{modules, "."} {
		must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, ".nix") {
				args = append(args, path)
			}
			return err
		}))
	}
	if len(args) < 20 {
		t.Fatalf("only %d files are there", len(args)-1)
	}
	nix(t, "nix-instantiate", args...)
}

// TestFlake calls the outputs with a nixpkgs that has nothing in it.
func TestFlake(t *testing.T) {
	t.Parallel()
	var got struct {
		Systems, Checks []string
		Modules         []string
		Twice           string
		Hash            string
		CGO             []string // attributes that say something of it
		Static          bool     // guests run it too, as their first program
	}
	evaluate(t, `let
	  file = import (here + "/../../nix/flake.nix");
	  package = f: f { lib = lib // { cleanSource = s: s; fileContents = p: builtins.readFile p; licenses.asl20 = "asl20"; platforms.linux = [ ]; }; buildGoModule = p: p // { outPath = "/nix/store/00000000000000000000000000000000-berth"; }; version = "1"; };
	  pkgs.callPackage = f: args: package (import f);
	  pkgs.testers.runNixOSTest = t: t.name;
	  self = file.outputs { inherit self; nixpkgs.legacyPackages = { x86_64-linux = pkgs; aarch64-linux = pkgs; }; };
	in {
	  systems = builtins.attrNames self.packages;
	  checks = builtins.attrNames self.checks.x86_64-linux;
	  modules = builtins.filter (name: let m = self.nixosModules.${name}; in builtins.isAttrs m || builtins.isFunction m) (builtins.attrNames self.nixosModules);
	  twice = (host { imports = [ self.nixosModules.host { imports = [ self.nixosModules.default self.nixosModules.host ]; } ]; services.berth.enable = true; }).services.berth.package.pname;
	  hash = self.packages.x86_64-linux.default.vendorHash;
	  cgo = let p = self.packages.x86_64-linux.default; in builtins.filter (n: builtins.elem n [ "env" "CGO_ENABLED" ]) (builtins.attrNames p);
	  static = lib.hasInfix "export CGO_ENABLED=0" self.packages.x86_64-linux.default.preBuild;
	}`, &got)
	if diff := cmp.Diff([]string{"default", "guest", "host"}, got.Modules); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"aarch64-linux", "x86_64-linux"}, got.Systems); diff != "" {
		t.Error(diff)
	}
	// nixpkgs 24.05 fails where env has it, later ones where an attribute is it.
	if len(got.CGO) > 0 || !got.Static {
		t.Errorf("the package has the attributes %q; static: %v", got.CGO, got.Static)
	}
	if len(got.Checks) < 3 || !strings.HasPrefix(got.Hash, "sha256-") || got.Twice != "berth" {
		t.Errorf("%+v", got)
	}
}

// TestVendorHash holds the package to the modules of go.mod.
func TestVendorHash(t *testing.T) {
	t.Parallel()
	vendor := filepath.Join(t.TempDir(), "vendor")
	cmd := exec.CommandContext(t.Context(), "go", "mod", "vendor", "-o", vendor)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go mod vendor: %v\n%s", err, out)
	}
	golden(t, modules+"/vendor.hash", string(nix(t, "nix", "--extra-experimental-features", "nix-command", "hash", "path", vendor)))
}

// TestReference: the page is that of the options.
func TestReference(t *testing.T) {
	t.Parallel()
	var text string
	evaluate(t, `let
	  tree = (eval { }).options;
	  inherit (import (here + "/../../nix/lib")) reference;
	in builtins.concatStringsSep "\n" (map (at: reference.table at (lib.foldl' (o: n: o.${n}) tree (builtins.filter builtins.isString (builtins.split "\\." at)))) [ "services.berth" "virtualisation.nspawn" ])`, &text)
	golden(t, "../../docs/reference/nixos.md", `# Options of the NixOS module

Made from the options by `+"`make docs`"+`. What a key means is in [keys.md](keys.md); one that nobody sets is left to berth.

`+text)
}
