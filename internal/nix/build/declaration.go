package build

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

//go:embed declaration.nix
var declarationExpression string

// Output is the output of a flake that is a declaration.
const Output = "berthContainers"

// Declaration is one in Nix, evaluated.
type Declaration struct {
	// Tree is what it says, in the form that declaration.nix describes.
	Tree []byte
	// File is its absolute path; empty for a flake from elsewhere.
	File string
	// Stored is where the store has the files of the flake, and Dir where they are
	// from: places and paths in Tree are below Stored. Both are empty for a file.
	Stored, Dir string
}

// Declaration evaluates a declaration: a file, the flake.nix of a flake, or a
// flake reference. Modules in it are evaluated too, and left as derivations.
func (b Builder) Declaration(ctx context.Context, from string) (Declaration, error) {
	defer b.Events.Send(container.Event{Subject: subject, Ended: true})
	info, err := os.Stat(from)
	if err != nil { // a reference
		return b.flakeDeclaration(ctx, from, "")
	}
	abs, err := filepath.Abs(from)
	switch {
	case err != nil:
		return Declaration{}, err
	case info.IsDir():
		return b.flakeDeclaration(ctx, abs, filepath.Join(abs, "flake.nix"))
	case filepath.Base(abs) == "flake.nix":
		return b.flakeDeclaration(ctx, filepath.Dir(abs), abs)
	}
	said, err := b.run(ctx, command{program: "nix-instantiate", dir: filepath.Dir(abs), phase: "evaluating " + from,
		args: slices.Concat([]string{"--eval", "--strict", "--json", "--read-write-mode"}, b.Flags.module(), []string{"-E", walk() + " (import (/. + " + text(abs) + "))"})})
	if err != nil {
		return Declaration{}, declarationError(from, said.log, err)
	}
	return Declaration{Tree: []byte(said.out), File: abs}, nil
}

// walk is the function from what is declared to a tree.
func walk() string {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "arm": "armv7l"}[runtime.GOARCH]
	if machine == "" {
		machine = runtime.GOARCH
	}
	return "(" + declarationExpression + ") { hostSystem = " + text(machine+"-linux") + "; mark = " + text(mark) + "; }"
}

// flakeDeclaration evaluates that of a flake: its output is a declaration, or
// the containers of one.
func (b Builder) flakeDeclaration(ctx context.Context, ref, file string) (Declaration, error) {
	m, err := b.metadata(ctx, ref)
	if err != nil {
		return Declaration{}, about(ref, err)
	}
	d := Declaration{File: file, Stored: m.Path}
	if file != "" {
		d.Dir = strings.TrimSuffix(strings.TrimSuffix(filepath.Dir(file), m.dir()), "/")
	}
	apply := "said: " + walk() + " (if said ? containers || said ? networks then said else { containers = said; })"
	said, err := b.run(ctx, command{program: "nix", phase: "evaluating " + ref,
		args: slices.Concat([]string{"eval", "--json", ref + "#" + Output, "--apply", apply}, b.Flags.flake())})
	switch {
	case err != nil && strings.Contains(err.Error(), "does not provide attribute"):
		return d, &container.Error{Subject: ref, Err: fmt.Errorf("the flake has no output %s", Output), Hint: "add " + Output + ".NAME = { ... }; with the keys of a container"}
	case err != nil:
		err = declarationError(ref, said.log, err)
		if d.Dir != "" {
			err = reworded(err, strings.NewReplacer(d.Stored+"/", d.Dir+"/").Replace)
		}
		return d, err
	}
	d.Tree = []byte(said.out)
	return d, b.stored(ctx, m)
}

// declarationError says which declaration an error is in, and which container
// was evaluated last.
func declarationError(from string, l *log, err error) error {
	if n := len(l.marks); n > 0 {
		from += ": " + l.marks[n-1]
	}
	if strings.Contains(err.Error(), "'nixpkgs/nixos' was not found") {
		err = &container.Error{Err: fmt.Errorf("config is a module, and nothing says what to build it with"),
			Hint: "add nixpkgs = inputs.nixpkgs; or another path of nixpkgs beside config"}
	}
	return about(from, err)
}
