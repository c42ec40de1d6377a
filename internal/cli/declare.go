package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
)

// What verbs read without -f.
const (
	hostDeclarations  = "those in /etc/berth/containers"
	folderDeclaration = "berth.yaml or berth.nix of this folder"
)

// sources are the flags that say which declarations a verb reads.
type sources struct {
	files []string
	adopt bool
	prune bool
	how   how
	// release lets go of what prune would destroy.
	release bool
}

// flags gives a verb the flags; unless -f is given, it reads what byDefault says.
func (s *sources) flags(c *cobra.Command, byDefault string) {
	c.Flags().StringArrayVarP(&s.files, "file", "f", nil, "`FILE` with a declaration, directory of such files, or flake; - is the standard input (default: "+byDefault+")")
	c.Flags().BoolVar(&s.adopt, "adopt", false, "take over containers that have another owner")
	s.how.flags(c)
	c.Flags().BoolVar(&s.prune, "prune", false, "destroy containers and networks of these declarations that they no longer name")
}

// wish reads the declarations.
func (a *app) wish(ctx context.Context, h *berth.Host, s sources) (berth.Wish, error) {
	if (s.prune || s.release) && slices.Contains(s.files, "-") {
		return berth.Wish{}, usageError(errors.New("--prune and --release need a declaration that is a file: the containers of the standard input are those of the command line"))
	}
	all, err := a.read(ctx, h, s.files)
	if err != nil {
		return berth.Wish{}, err
	}
	w := s.how.on(berth.Wish{Adopt: s.adopt, NixFlags: a.nixFlags})
	var owners []container.Owner
	for _, d := range all {
		if d.Owner != container.OwnerCLI {
			owners = append(owners, d.Owner)
		}
		for _, n := range d.Networks {
			w.Networks = append(w.Networks, berth.WantedNetwork{Name: n.Name, Owner: d.Owner, Spec: n.Spec})
		}
		for _, c := range d.Containers {
			w.Containers = append(w.Containers, berth.Wanted{Name: c.Name, Owner: d.Owner, Spec: c.Spec})
		}
	}
	if s.prune || s.release {
		w.Prune = owners
		return w, nil
	}
	left, err := undeclared(h, w, owners)
	for _, n := range left {
		a.say("note: %s is no longer declared, and left as it is: --prune destroys it; berth apply --release stops it and keeps its data", n)
	}
	return w, err
}

func (a *app) read(ctx context.Context, h *berth.Host, files []string) ([]*declare.Declaration, error) {
	if len(files) == 1 && files[0] == "-" {
		d, err := declare.ParseYAML(a.In, "")
		return []*declare.Declaration{d}, err
	}
	l := declare.Loader{Nix: func(from string) (declare.Evaluated, error) { return h.Evaluate(ctx, from, a.nixFlags) }}
	if len(files) > 0 {
		return l.Load(files...)
	}
	dir := filepath.Join(h.Config(), "containers")
	all, err := l.Load(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, declare.ErrNoDeclaration) {
		hint := "name one with -f, or run berth up in the folder of a berth.yaml"
		if path, err := declarationHere(); err == nil {
			hint = "for that of this folder give -f " + filepath.Base(path)
		}
		return nil, &container.Error{Err: fmt.Errorf("there is no declaration in %s", dir), Code: container.CodeUsage, Hint: hint}
	}
	return all, err
}

func (a *app) planCmd() *cobra.Command {
	var s sources
	c := a.jsonFlag(&cobra.Command{
		Use: "plan", Short: "Show what apply would do", Args: takes(0, 0),
		Example: "  berth plan -f berth.yaml\n  berth plan -f /srv/shop --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			w, err := a.wish(cmd.Context(), h, s)
			if err != nil {
				return err
			}
			p, err := h.Plan(cmd.Context(), w)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(p)
			}
			a.printPlan(a.Out, p)
			return nil
		},
	})
	s.flags(c, hostDeclarations)
	return a.passFlags(c)
}

func (a *app) applyCmd() *cobra.Command {
	var s sources
	c := a.yesFlag(&cobra.Command{
		Use: "apply", Short: "Make containers as their declarations want them", Args: takes(0, 0),
		Example: "  berth apply\n  berth apply -f berth.yaml --yes\n  berth apply -f github:owner/repo",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.apply(cmd.Context(), s) },
	})
	s.flags(c, hostDeclarations)
	c.Flags().BoolVar(&s.release, "release", false, "stop containers of these declarations that they no longer name, and keep their data; they are of the command line then")
	c.MarkFlagsMutuallyExclusive("prune", "release")
	return a.passFlags(c)
}

func (a *app) upCmd() *cobra.Command {
	var s sources
	c := a.yesFlag(&cobra.Command{
		Use: "up", Short: "Apply the berth.yaml of this folder", Args: takes(0, 0),
		Example: "  berth up\n  berth up -f /srv/shop/berth.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(s.files) == 0 {
				path, err := declarationHere()
				if err != nil {
					return err
				}
				s.files = []string{filepath.Base(path)}
			}
			return a.apply(cmd.Context(), s)
		},
	})
	s.flags(c, folderDeclaration)
	return a.passFlags(c)
}

// declarationHere is the absolute path of the working directory's declaration:
// berth.yaml, or else berth.nix.
func declarationHere() (string, error) {
	for _, name := range []string{"berth.yaml", "berth.nix"} {
		path, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", &container.Error{Err: errors.New("this folder has no berth.yaml"), Code: container.CodeUsage,
		Hint: "go to a folder that has one, or a berth.nix, or name another declaration with -f FILE"}
}

func (a *app) apply(ctx context.Context, s sources) error {
	h, err := a.open()
	if err != nil {
		return err
	}
	w, err := a.wish(ctx, h, s)
	if err != nil {
		return err
	}
	if s.release {
		owners := w.Prune
		w.Prune = nil
		if err := a.letGo(ctx, h, w, owners); err != nil {
			return err
		}
	}
	return a.carryOut(ctx, h, w)
}

// carryOut shows the plan for a wish, asks where somebody would notice, and
// applies it.
func (a *app) carryOut(ctx context.Context, h *berth.Host, w berth.Wish) error {
	p, err := h.Plan(ctx, w)
	if err != nil {
		return err
	}
	a.printPlan(a.Err, p)
	if p.Empty() {
		return nil
	}
	if p.Disturbs() {
		if ok, err := a.agreed("Restart or remove what the plan says?"); err != nil || !ok {
			return err
		}
	}
	if err := h.Apply(ctx, w, p); err != nil {
		return err
	}
	a.say("done")
	return nil
}

func (a *app) downCmd() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use: "down", Short: "Shut down the containers of the berth.yaml of this folder; their data stays", Args: takes(0, 0),
		Example: "  berth down\n  berth down -f /srv/shop/berth.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			if len(files) == 0 {
				path, err := declarationHere()
				if err != nil {
					return err
				}
				files = []string{path}
			}
			if slices.Contains(files, "-") {
				return usageError(errors.New("what was declared on the standard input belongs to the command line: berth stop NAME... shuts it down"))
			}
			owners, err := declare.Owners(files...)
			if err != nil {
				return err
			}
			return a.stopOwned(cmd.Context(), h, owners)
		},
	}
	c.Flags().StringArrayVarP(&files, "file", "f", nil, "`FILE` with a declaration, directory of such files, or flake (default: "+folderDeclaration+")")
	return c
}

func (a *app) stopOwned(ctx context.Context, h *berth.Host, owners []container.Owner) error {
	all, err := h.Select(berth.Selection{All: true})
	if err != nil {
		return err
	}
	var names []container.Name
	for _, n := range all {
		if _, o, err := h.Spec(n); err == nil && slices.Contains(owners, o) {
			names = append(names, n)
		}
	}
	return a.stop(ctx, h, names, berth.StopLimit)
}
