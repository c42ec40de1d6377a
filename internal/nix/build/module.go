package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// evaluateModules evaluates those of sources that are modules: all whose
// relative paths start in the same directory in one go.
func (b Builder) evaluateModules(ctx context.Context, sources []Source, targets []target) error {
	var dirs []string
	for _, s := range sources {
		if s.isModule() && !slices.Contains(dirs, s.dir()) {
			dirs = append(dirs, s.dir())
		}
	}
	var errs []error
	for n, dir := range dirs {
		var some []int
		for i, s := range sources {
			if s.isModule() && s.dir() == dir {
				some = append(some, i)
			}
		}
		errs = append(errs, b.evaluateIn(ctx, dir, fmt.Sprintf("module-%d", n), sources, some, targets))
	}
	return errors.Join(errs...)
}

func (s Source) isModule() bool { return s.Config != "" || s.ConfigFile != "" }

func (s Source) dir() string { return cmp.Or(s.Dir, "/") }

// evaluateIn evaluates the modules among sources that some are the numbers of.
func (b Builder) evaluateIn(ctx context.Context, dir, root string, sources []Source, some []int, targets []target) error {
	link := filepath.Join(b.Roots, root)
	args := append([]string{"--add-root", link, "--indirect"}, b.Flags.module()...)
	var names, expressions, entries []string
	for n, i := range some {
		nixos, include := sources[i].nixos(n)
		entries = append(entries, entry(n), cmp.Or(sources[i].NixOSPath, sources[i].Nixpkgs, entry(n)))
		args = append(args, include...)
		expressions = append(expressions, sources[i].expression(nixos))
		names = append(names, string(sources[i].Name))
	}
	args = append(append(args, "-E"), expressions...)
	said, err := b.run(ctx, command{program: "nix-instantiate", args: args, dir: dir, phase: "evaluating " + strings.Join(names, ", ")})
	if err != nil {
		// Each that is done has a line of the answer.
		s := sources[some[min(strings.Count(said.out, "\n"), len(some)-1)]]
		err = renamed(err, entries)
		if s.Config != "" {
			err = in(err, "config", 1)
		}
		return container.Named(s.Name, err)
	}
	for n, i := range some {
		p, err := rooted(link, n)
		if err != nil {
			return container.Named(sources[i].Name, err)
		}
		targets[i] = target{path: string(p) + "!out"}
	}
	return nil
}

// nixos is the expression for NixOS, which may need arguments for Nix to be
// found by. Number n tells sources apart.
func (s Source) nixos(n int) (expression string, include []string) {
	from := func(where, below string) (string, []string) {
		if inner, ok := strings.CutPrefix(where, "<"); ok {
			return "<" + strings.TrimSuffix(inner, ">") + below + ">", nil
		}
		return "<" + entry(n) + below + ">", []string{"-I", entry(n) + "=" + where}
	}
	switch {
	case s.NixOSPath != "":
		return from(s.NixOSPath, "")
	case s.Nixpkgs != "":
		return from(s.Nixpkgs, "/nixos")
	default:
		return "<nixpkgs/nixos>", nil
	}
}

// entry is the name that number n has in Nix' search path.
func entry(n int) string { return fmt.Sprintf("berth-%d", n) }

// renamed has an error say what stands behind the names in pairs.
func renamed(err error, pairs []string) error {
	return reworded(err, strings.NewReplacer(pairs...).Replace)
}

// expression is the system of a module. What the user has written starts in
// its second line.
func (s Source) expression(nixos string) string {
	module := `(/. + ` + text(s.ConfigFile) + `)`
	switch {
	case s.Config != "" && hasDefinitions(s.Config):
		module = "({ config, lib, pkgs, ... }: with lib; {\n" + s.Config + "\n})"
	case s.Config != "":
		module = "(\n" + s.Config + "\n)"
	}
	return "(module: (import " + nixos + " { configuration = { imports = [ " + guest(s.Name) + " { _file = \"config\"; imports = [ module ]; } ]; }; }).config.system.build.toplevel) " + module
}

// guest is a module with what every guest of berth's needs.
func guest(n container.Name) string {
	return `({ lib, options, ... }: { _file = "berth"; boot = { isContainer = true; }` +
		` // (if options.boot ? isNspawnContainer then { isNspawnContainer = true; } else { });` +
		` networking.hostName = lib.mkDefault ` + text(string(n)) + `; networking.useDHCP = lib.mkDefault false; })`
}
