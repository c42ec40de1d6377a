package cli

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
)

func (a *app) explainCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "explain [KEY]", Short: "Tell what keys of a declaration mean, and what this host makes of them",
		Args: takes(0, 1), ValidArgsFunction: completeKey,
		Example: "  berth explain\n  berth explain forwardPorts",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.explain(args[0])
			}
			return a.explainAll()
		},
	})
}

func completeKey(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, k := range container.Keys() {
		if len(args) == 0 {
			names = append(names, k.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// explanations are those of all keys on this host.
func (a *app) explanations() ([]container.Explanation, error) {
	h, err := a.open()
	if err != nil {
		return nil, err
	}
	return h.Explain()
}

func (a *app) explainAll() error {
	all, err := a.explanations()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(all)
	}
	rows := [][]string{{"KEY", "HERE", "SYSTEMD", "BY"}}
	for _, x := range all {
		rows = append(rows, []string{x.Key, string(x.Support), since(x), x.By})
	}
	return table(a.Out, rows)
}

// since is the first systemd that does natively what a key wants.
func since(x container.Explanation) string {
	switch {
	case x.Since > 0:
		return fmt.Sprint(x.Since)
	case x.Support == container.Native:
		return "all"
	}
	return "-"
}

func (a *app) explain(key string) error {
	name, err := declare.TopKey(key)
	if err != nil {
		return err
	}
	all, err := a.explanations()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(x container.Explanation) bool { return x.Key == name })
	if i < 0 {
		return fmt.Errorf("%s is not in the table of keys", name)
	}
	x := all[i]
	if a.json {
		return a.printJSON(x)
	}
	fmt.Fprintf(a.Out, "%s: %s\n%s\n\n", x.Key, x.Type, x.Doc)
	rows := [][]string{{"default", cmp.Or(x.Default, "unset")}, {"change", x.Effect.String()},
		{"here", string(x.Support) + ": " + x.By}, {"systemd", since(x)}}
	if x.Support == container.Native && x.Since > 0 {
		rows[3][1] += " or later"
	}
	for _, n := range x.Notes {
		rows = append(rows, []string{"note", n})
	}
	return table(a.Out, rows)
}
