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

// sources are the flags that say which declarations a verb reads.
type sources struct {
	files []string
	adopt bool
	prune bool
	how   how
	// release lets go of what prune would destroy.
	release bool
}

func (s *sources) flags(c *cobra.Command) {
	c.Flags().StringArrayVarP(&s.files, "file", "f", nil, "declaration, or directory of declarations; - is the standard input (default: those in /etc/berth/containers)")
	s.wishFlags(c)
}

func (s *sources) wishFlags(c *cobra.Command) {
	c.Flags().BoolVar(&s.adopt, "adopt", false, "take over containers that have another owner")
	s.how.flags(c)
	c.Flags().BoolVar(&s.prune, "prune", false, "destroy containers and networks of these declarations that they no longer name")
}

// wish reads the declarations.
func (a *app) wish(h *berth.Host, s sources) (berth.Wish, error) {
	if (s.prune || s.release) && slices.Contains(s.files, "-") {
		return berth.Wish{}, usageError(errors.New("--prune and --release need a declaration that is a file: the containers of the standard input are those of the command line"))
	}
	all, err := a.read(h, s.files)
	if err != nil {
		return berth.Wish{}, err
	}
	w := s.how.on(berth.Wish{Adopt: s.adopt})
	for _, d := range all {
		if s.prune || s.release {
			w.Prune = append(w.Prune, d.Owner)
		}
		for _, n := range d.Networks {
			w.Networks = append(w.Networks, berth.WantedNetwork{Name: n.Name, Owner: d.Owner, Spec: n.Spec})
		}
		for _, c := range d.Containers {
			w.Containers = append(w.Containers, berth.Wanted{Name: c.Name, Owner: d.Owner, Spec: c.Spec})
		}
	}
	return w, nil
}

func (a *app) read(h *berth.Host, files []string) ([]*declare.Declaration, error) {
	if len(files) == 1 && files[0] == "-" {
		d, err := declare.ParseYAML(a.In, "")
		return []*declare.Declaration{d}, err
	}
	if len(files) > 0 {
		return declare.Load(files...)
	}
	dir := filepath.Join(h.Config(), "containers")
	all, err := declare.Load(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, declare.ErrNoDeclaration) {
		return nil, &container.Error{Err: fmt.Errorf("there is no declaration in %s", dir), Code: container.CodeUsage,
			Hint: "name one with -f, or run berth up in the folder of a berth.yaml"}
	}
	return all, err
}

func (a *app) planCmd() *cobra.Command {
	var s sources
	c := a.jsonFlag(&cobra.Command{
		Use: "plan", Short: "Show what apply would do", Args: argsError(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			w, err := a.wish(h, s)
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
	s.flags(c)
	return c
}

func (a *app) applyCmd() *cobra.Command {
	var s sources
	c := a.yesFlag(&cobra.Command{
		Use: "apply", Short: "Make containers as their declarations want them", Args: argsError(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.apply(cmd.Context(), s) },
	})
	s.flags(c)
	c.Flags().BoolVar(&s.release, "release", false, "stop containers of these declarations that they no longer name, and keep their data; they are of the command line then")
	c.MarkFlagsMutuallyExclusive("prune", "release")
	return c
}

func (a *app) upCmd() *cobra.Command {
	var s sources
	c := a.yesFlag(&cobra.Command{
		Use: "up", Short: "Apply the berth.yaml of this folder", Args: argsError(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := declarationHere(); err != nil {
				return err
			}
			s.files = []string{here}
			return a.apply(cmd.Context(), s)
		},
	})
	s.wishFlags(c)
	return c
}

// here is the declaration of the working directory.
const here = "berth.yaml"

// declarationHere is its absolute path.
func declarationHere() (string, error) {
	path, err := filepath.Abs(here)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", &container.Error{Err: errors.New("this folder has no berth.yaml"), Code: container.CodeUsage,
			Hint: "go to a folder that has one, or name another declaration: berth apply -f FILE"}
	}
	return path, nil
}

func (a *app) apply(ctx context.Context, s sources) error {
	h, err := a.open()
	if err != nil {
		return err
	}
	w, err := a.wish(h, s)
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
	return &cobra.Command{
		Use: "down", Short: "Shut down the containers of the berth.yaml of this folder; their data stays", Args: argsError(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			path, err := declarationHere()
			if err != nil {
				return err
			}
			return a.stopOwned(cmd.Context(), h, container.OwnerFile(path))
		},
	}
}

func (a *app) stopOwned(ctx context.Context, h *berth.Host, owner container.Owner) error {
	all, err := h.Select(berth.Selection{All: true})
	if err != nil {
		return err
	}
	var names []container.Name
	for _, n := range all {
		if _, o, err := h.Spec(n); err == nil && o == owner {
			names = append(names, n)
		}
	}
	return a.stop(ctx, h, names, berth.StopLimit)
}
