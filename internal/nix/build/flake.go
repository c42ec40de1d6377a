package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// description is what evaluation tells of a system.
type description struct {
	Path string `json:"path"` // a derivation with !OUTPUT, or what is there already
}

// describe is a function of Nix: from a system of NixOS, or a package, to a
// description.
const describe = `(v: let t = if v ? config && !(v ? drvPath) then v.config.system.build.toplevel else v; in ` +
	`if builtins.isAttrs t && t ? drvPath then { path = "${t.drvPath}!${t.outputName or "out"}"; } ` +
	`else if (builtins.isString t || builtins.isPath t) && builtins.match "` + container.StoreDir + `/[^/]+" (toString t) != null then { path = toString t; } ` +
	`else throw "it is neither a NixOS system nor a package")`

// evaluateFlakes evaluates those of sources that are systems of flakes: all of
// one flake in one go.
func (b Builder) evaluateFlakes(ctx context.Context, sources []Source, targets []target) error {
	var errs []error
	for _, ref := range flakes(sources) {
		var some []int
		for i, s := range sources {
			if r, _ := split(s.Flake); s.Flake != "" && r == ref {
				some = append(some, i)
			}
		}
		errs = append(errs, b.evaluateFlake(ctx, ref, sources, some, targets))
	}
	return errors.Join(errs...)
}

// flakes are the references in sources.
func flakes(sources []Source) []string {
	var out []string
	for _, s := range sources {
		if ref, _ := split(s.Flake); s.Flake != "" && !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	return out
}

// evaluateFlake evaluates what some of sources have of one flake.
func (b Builder) evaluateFlake(ctx context.Context, ref string, sources []Source, some []int, targets []target) error {
	found, err := b.configurations(ctx, ref, sources, some)
	if err != nil {
		return err
	}
	m, err := b.metadata(ctx, ref)
	if err != nil {
		return container.Named(sources[some[0]].Name, err)
	}
	for n, i := range some {
		_, attribute := split(sources[i].Flake)
		d := found[n]
		if d == nil {
			if d, err = b.attribute(ctx, ref, attribute); err != nil {
				return container.Named(sources[i].Name, err)
			}
		}
		targets[i] = target{path: d.Path, flake: m.URL + "#" + attribute}
	}
	return nil
}

// configurations are the systems of a flake that some of sources name: nil
// for those that it does not have by that name.
func (b Builder) configurations(ctx context.Context, ref string, sources []Source, some []int) ([]*description, error) {
	out := make([]*description, len(some))
	var names, words []string
	for _, i := range some {
		_, attribute := split(sources[i].Flake)
		names, words = append(names, string(sources[i].Name)), append(words, text(attribute))
	}
	apply := `systems: map (n: if systems ? ${n} then builtins.trace ("` + mark + `" + n) (` + describe + ` systems.${n}) else builtins.trace "` + mark + `" null) ` + list(words)
	said, err := b.run(ctx, command{program: "nix", phase: "evaluating " + strings.Join(names, ", "),
		args: slices.Concat([]string{"eval", "--json", ref + "#nixosConfigurations", "--apply", apply}, b.Flags.flake())})
	if err != nil && strings.Contains(err.Error(), "does not provide attribute") {
		return out, nil // packages alone
	}
	if err != nil {
		subject := strings.Join(names, ", ")
		if n := len(said.log.marks); n > 0 && n <= len(names) {
			subject = names[n-1]
		}
		return nil, about(subject, err)
	}
	if err := json.Unmarshal([]byte(said.out), &out); err != nil || len(out) != len(some) {
		return nil, fmt.Errorf("nix eval %s#nixosConfigurations: %q is no answer", ref, said.out)
	}
	return out, nil
}

// about names the containers that an error is about.
func about(names string, err error) error {
	var e *container.Error
	if errors.As(err, &e) && e.Subject == "" {
		c := *e
		c.Subject = names
		return &c
	}
	return fmt.Errorf("%s: %w", names, err)
}

// attribute is what a flake has by a path of attributes, or as a package of a
// name.
func (b Builder) attribute(ctx context.Context, ref, attribute string) (*description, error) {
	said, err := b.run(ctx, command{program: "nix", phase: "evaluating " + attribute,
		args: slices.Concat([]string{"eval", "--json", ref + "#" + attribute, "--apply", describe}, b.Flags.flake())})
	if err != nil && strings.Contains(err.Error(), "does not provide attribute") {
		return nil, &container.Error{Err: fmt.Errorf("the flake %s has neither nixosConfigurations.%s nor %s", ref, attribute, attribute), Hint: "nix flake show " + ref + " lists what it has"}
	} else if err != nil {
		return nil, err
	}
	var d description
	if err := json.Unmarshal([]byte(said.out), &d); err != nil {
		return nil, fmt.Errorf("nix eval %s#%s: %q is no answer", ref, attribute, said.out)
	}
	return &d, nil
}

// metadata is what Nix knows of a flake as it is now.
type metadata struct {
	URL    string          `json:"url"`    // with what makes it certain
	Path   string          `json:"path"`   // in the store
	Locked json.RawMessage `json:"locked"` // what builtins.fetchTree takes, with dir and __final
}

// dir is the directory of flake.nix in m.Path.
func (m metadata) dir() string {
	var locked struct{ Dir string }
	_ = json.Unmarshal(m.Locked, &locked)
	return locked.Dir
}

func (b Builder) metadata(ctx context.Context, ref string) (m metadata, err error) {
	said, err := b.run(ctx, command{program: "nix", args: slices.Concat([]string{"flake", "metadata", "--json", ref}, b.Flags.flake())})
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(said.out), &m); err != nil || m.URL == "" {
		return m, fmt.Errorf("nix flake metadata %s: %q is no answer", ref, said.out)
	}
	return m, nil
}

// stored has the files of a flake in the store. Nix before 2.35 copies them
// whenever it looks at a flake; later ones do when a value leads there.
func (b Builder) stored(ctx context.Context, m metadata) error {
	if _, err := os.Stat(m.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tree := "removeAttrs (builtins.fromJSON " + text(string(m.Locked)) + ") [ \"dir\" \"__final\" ]"
	_, err := b.run(ctx, command{program: "nix",
		args: slices.Concat([]string{"eval", "--raw", "--impure", "--expr", "(builtins.fetchTree (" + tree + ")).outPath"}, b.Flags.flake())})
	return err
}

// settings are those that the flakes of sources bring along, for the build,
// where the user has accepted that: --option NAME VALUE for each.
func (b Builder) settings(ctx context.Context, sources []Source) ([]string, error) {
	if !b.Flags.has("accept-flake-config") {
		return nil, nil
	}
	var out []string
	for _, ref := range flakes(sources) {
		m, err := b.metadata(ctx, ref)
		if err == nil {
			err = b.stored(ctx, m)
		}
		if err != nil {
			return nil, err
		}
		file := path.Join(m.Path, m.dir(), "flake.nix")
		said, err := b.run(ctx, command{program: "nix-instantiate", args: []string{"--eval", "--strict", "--json", "-E",
			`builtins.mapAttrs (_: v: if builtins.isList v then toString v else if builtins.isBool v then (if v then "true" else "false") else toString v) ((import (/. + ` + text(file) + `)).nixConfig or { })`}})
		if err != nil {
			return nil, err
		}
		var settings map[string]string
		if err := json.Unmarshal([]byte(said.out), &settings); err != nil {
			return nil, fmt.Errorf("nixConfig of %s: %w", ref, err)
		}
		for name, value := range settings {
			out = append(out, "--option", name, value)
		}
	}
	return out, nil
}
