package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Source is where the system of one container comes from: one of Flake,
// Config, ConfigFile and Derivation is set.
type Source struct {
	Name       container.Name // whose it is; the guest's host name, where its module names none
	Flake      string         // REF#ATTR
	Config     string         // the text of a module, or of definitions that it would have in braces
	ConfigFile string         // the absolute path of one
	Derivation string         // the path of a .drv in the store
	Dir        string         // where relative paths in Config start; absolute
	// Nixpkgs and NixOSPath are a directory, a URL, or a path of NIX_PATH in
	// angle brackets. At most one is set; neither: <nixpkgs/nixos>.
	Nixpkgs, NixOSPath string
}

// Built is what a Source has become.
type Built struct {
	System container.StorePath
	// Flake is that of the Source as Nix has locked it, with the attribute; empty
	// where there is none.
	Flake string
}

// Builder is the host's Nix at work.
type Builder struct {
	Flags  Flags
	Events container.EventFunc
	// Roots is a directory in which links save what is evaluated and built from
	// garbage collection, until the caller removes it.
	Roots string
}

// target is what has been evaluated and is to be built.
type target struct {
	path  string // of a derivation with !OUTPUT, or of what is there already
	flake string // as Built has it
}

// Build evaluates sources, those of one flake together and all modules
// together, and builds them in one go. The result is in their order. Errors
// are about the containers that they name; with one, nothing is built.
func (b Builder) Build(ctx context.Context, sources []Source) ([]Built, error) {
	defer b.Events.Send(container.Event{Subject: subject, Ended: true})
	targets := make([]target, len(sources))
	errs := []error{b.evaluateFlakes(ctx, sources, targets), b.evaluateModules(ctx, sources, targets)}
	for i, s := range sources {
		if s.Derivation != "" {
			targets[i] = target{path: s.Derivation + "!out"}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var paths []string
	for _, t := range targets {
		if !slices.Contains(paths, t.path) {
			paths = append(paths, t.path)
		}
	}
	built, err := b.realise(ctx, sources, paths)
	if err != nil {
		return nil, err
	}
	out := make([]Built, len(sources))
	for i, t := range targets {
		out[i] = Built{built[slices.Index(paths, t.path)], t.flake}
	}
	return out, nil
}

// subject is what events are about.
const subject = "nix"

// realise builds paths, and gives what they have become.
func (b Builder) realise(ctx context.Context, sources []Source, paths []string) ([]container.StorePath, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	more, err := b.settings(ctx, sources)
	if err != nil {
		return nil, err
	}
	link := filepath.Join(b.Roots, "built")
	args := slices.Concat([]string{"--realise"}, paths, []string{"--add-root", link, "--indirect"}, b.Flags.build(), more)
	if _, err := b.run(ctx, command{program: "nix-store", args: args}); err != nil {
		return nil, err
	}
	out := make([]container.StorePath, len(paths))
	for i := range paths {
		if out[i], err = rooted(link, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rooted is where the link that Nix has made for path number i leads: the
// first has the name itself, others have their number behind it.
func rooted(link string, i int) (container.StorePath, error) {
	if i > 0 {
		link = fmt.Sprintf("%s-%d", link, i+1)
	}
	to, err := os.Readlink(link)
	if err != nil {
		return "", fmt.Errorf("nix-store made no root: %w", err)
	}
	return container.ParseStorePath(to)
}

// split cuts a flake reference from the attribute.
func split(flake string) (ref, attribute string) {
	ref, attribute, _ = strings.Cut(flake, "#")
	if attribute == "" {
		attribute = DefaultAttribute
	}
	return ref, attribute
}

// DefaultAttribute is which system of a flake is meant where none is named, as
// nixos-container has it.
const DefaultAttribute = "container"
