package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

func (a *app) adoptCmd() *cobra.Command {
	var all, undo bool
	c := a.yesFlag(&cobra.Command{
		Use: "adopt NAME...", Short: "Take over containers of nixos-container, in place, or give them back",
		Long: "Take over containers of nixos-container. What they are is said by their files in /etc/nixos-containers as before, and their data and profiles stay where they are. " +
			"One that runs is restarted. With --undo they are stopped and given back.",
		Example: "  berth adopt web\n  berth adopt --all\n  berth adopt --undo web",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			names, err := adoptable(h.Nixos(), args, all)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				a.say("nothing to do")
				return nil
			}
			if undo {
				return a.giveBack(cmd.Context(), h, names)
			}
			return a.adopt(cmd.Context(), h, names)
		},
	})
	c.Flags().BoolVarP(&all, "all", "a", false, "all that a file in /etc/nixos-containers declares, but for those of the host's configuration")
	c.Flags().BoolVar(&undo, "undo", false, "give them back")
	return c
}

// adoptable are the containers that the arguments choose.
func adoptable(x berth.Nixos, args []string, all bool) ([]container.Name, error) {
	switch {
	case all && len(args) > 0:
		return nil, usageError(errors.New("either names or --all, not both"))
	case !all && len(args) == 0:
		return nil, &container.Error{Err: errors.New("no container is named"), Code: container.CodeUsage, Hint: "give names, or --all"}
	case all:
		return x.Imperative()
	}
	var names []container.Name
	for _, arg := range args {
		n, err := berth.ParseNixosName(arg)
		if err != nil {
			return nil, usageError(err)
		}
		names = append(names, n)
	}
	return names, nil
}

func (a *app) adopt(ctx context.Context, h *berth.Host, names []container.Name) error {
	x := h.Nixos()
	for _, n := range names {
		notes, err := x.Notes(n)
		if err != nil {
			return err
		}
		for _, note := range notes {
			a.say("%s: note: %s", n, note)
		}
	}
	ok, err := a.agreed(fmt.Sprintf("Take over %s, and restart what of it runs?", list(names)))
	if err != nil || !ok {
		return err
	}
	return a.each(names, "adopted", func(n container.Name) error { return x.Adopt(ctx, n) })
}

func (a *app) giveBack(ctx context.Context, h *berth.Host, names []container.Name) error {
	ok, err := a.agreed(fmt.Sprintf("Stop %s and give it back to nixos-container?", list(names)))
	if err != nil || !ok {
		return err
	}
	return a.each(names, "given back", func(n container.Name) error { return h.Nixos().Release(ctx, n) })
}
