package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// how are the flags of verbs that may give running guests other systems.
type how struct{ boot, noRollback bool }

func (f *how) flags(c *cobra.Command) {
	c.Flags().BoolVar(&f.boot, "boot", false, "leave running guests alone: their next start takes what is new")
	c.Flags().BoolVar(&f.noRollback, "no-rollback", false, "leave a guest that is unhealthy after its update as it is, for a look")
}

func (f how) on(w berth.Wish) berth.Wish {
	w.Boot, w.NoRollback = f.boot, f.noRollback
	return w
}

func (a *app) updateCmd() *cobra.Command {
	var f how
	c := a.yesFlag(&cobra.Command{
		Use: "update NAME", Short: "Give a container what its references stand for now", ValidArgsFunction: a.complete, Args: takes(1, 1),
		Long: `Give a container what its references stand for now: the NixOS system that its flake or its module is, or to which a link leads, the content of an image.

A running guest changes to another NixOS system in place, and is restarted only where more has changed. One that is not healthy
within healthTimeout gets its old system back by itself; the exit code is 5 then.`,
		Example: "  berth update web\n  berth update web --boot",
		RunE: a.onOne(func(ctx context.Context, h *berth.Host, n container.Name, _ []string) error {
			w, err := h.Update(ctx, n)
			if err != nil {
				return err
			}
			w.NixFlags = a.nixFlags
			return a.carryOut(ctx, h, f.on(w))
		}),
	})
	f.flags(c)
	return a.passFlags(c)
}

func (a *app) rollbackCmd() *cobra.Command {
	var f how
	var to int
	c := a.yesFlag(&cobra.Command{
		Use: "rollback NAME", Short: "Take a container back to an earlier generation", ValidArgsFunction: a.complete, Args: takes(1, 1),
		Long:    `Take a container back to an earlier generation: what it booted, with the spec that it ran under. What a NixOS guest has written stays.`,
		Example: "  berth rollback web\n  berth rollback web --to 3",
		RunE: a.onOne(func(ctx context.Context, h *berth.Host, n container.Name, _ []string) error {
			if to < 0 {
				return usageError(fmt.Errorf("--to %d is not the number of a generation", to))
			}
			w, err := h.Rollback(ctx, n, to)
			if err != nil {
				return err
			}
			return a.carryOut(ctx, h, f.on(w))
		}),
	})
	c.Flags().IntVar(&to, "to", 0, "`NUMBER` of the generation (default: the last one before its own that did not fail)")
	f.flags(c)
	return c
}

func (a *app) generationsCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "generations NAME", Short: "List what is kept of what a container has booted", ValidArgsFunction: a.complete, Args: takes(1, 1),
		RunE: a.onOne(func(ctx context.Context, h *berth.Host, n container.Name, _ []string) error {
			all, err := h.Generations(ctx, n)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all)
			}
			rows := [][]string{{"NUMBER", "CREATED", "WHAT", "STATE"}}
			for _, g := range all {
				rows = append(rows, []string{fmt.Sprint(g.Number), g.Created.Local().Format(time.DateTime), cmp.Or(g.System.Short(), g.Image+" "+g.Digest.Short()), generationState(g)})
			}
			return table(a.Out, rows)
		}),
	})
}

// generationState is what there is to say about a generation.
func generationState(g container.Generation) string {
	var words []string
	if g.Current {
		words = append(words, "current")
	}
	if g.Next {
		words = append(words, "with the next start")
	}
	if g.Failed != "" {
		words = append(words, "failed: "+g.Failed)
	}
	if g.SetAside {
		words = append(words, "changes set aside")
	}
	return cmp.Or(strings.Join(words, ", "), "-")
}

// most is how many packages of a kind a plan shows.
const most = 20

// printPackages prints what changes from one system to another.
func printPackages(w io.Writer, d container.PackageDiff) {
	var lines []string
	for _, c := range d.Changed {
		lines = append(lines, fmt.Sprintf("%s: %s -> %s", c.Name, versions(c.Old), versions(c.New)))
	}
	printSome(w, "", lines)
	printSome(w, "added: ", packages(d.Added))
	printSome(w, "removed: ", packages(d.Removed))
	if d.Rebuilt > 0 {
		fmt.Fprintf(w, "    packages: %d of the same version rebuilt\n", d.Rebuilt)
	}
	if d.OldSize > 0 && d.NewSize > 0 {
		fmt.Fprintf(w, "    size: %s -> %s\n", size(d.OldSize), size(d.NewSize))
	}
}

func printSome(w io.Writer, kind string, lines []string) {
	for _, l := range lines[:min(most, len(lines))] {
		fmt.Fprintf(w, "    packages: %s%s\n", kind, l)
	}
	if more := len(lines) - most; more > 0 {
		fmt.Fprintf(w, "    packages: %s%d more, which --json shows\n", kind, more)
	}
}

func packages(all []container.Package) []string {
	var out []string
	for _, p := range all {
		out = append(out, strings.TrimSpace(p.Name+" "+strings.Join(p.Versions, ", ")))
	}
	return out
}

func versions(all []string) string { return cmp.Or(strings.Join(all, ", "), "none") }
