package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

func (a *app) whyCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "why NAME", Short: "Tell why a container is as it is, the most likely cause first", ValidArgsFunction: a.complete, Args: takes(1, 1),
		Example: "  berth why web",
		RunE: a.onOne(func(ctx context.Context, h *berth.Host, n container.Name, _ []string) error {
			d, err := h.Why(ctx, n)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(d)
			}
			a.printDiagnosis(d)
			return nil
		}),
	})
}

func (a *app) printDiagnosis(d container.Diagnosis) {
	line := fmt.Sprintf("%s is %s", d.Name, d.State)
	if d.State == container.Failed {
		line = fmt.Sprintf("%s has failed", d.Name)
	}
	if !d.Since.IsZero() {
		line += " since " + d.Since.Local().Format(time.DateTime)
	}
	if d.Restarts > 0 {
		line += fmt.Sprintf("; restarts after failures: %d", d.Restarts)
	}
	fmt.Fprintln(a.Out, line)
	for _, c := range d.Causes {
		fmt.Fprintln(a.Out, c.Text)
		for _, l := range c.Lines {
			fmt.Fprintln(a.Out, "  "+l)
		}
	}
}
