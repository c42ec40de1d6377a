package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
)

func (a *app) lsCmd() *cobra.Command {
	var labels []string
	var quiet bool
	c := a.jsonFlag(&cobra.Command{
		Use: "ls [NAME...]", Aliases: []string{"list", "ps"}, Short: "List containers", ValidArgsFunction: a.complete,
		Example: "  berth ls\n  berth ls -l tier=front --json",
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			names, err := h.Select(berth.Selection{Names: args, All: len(args) == 0, Labels: labels})
			if err != nil {
				return err
			}
			return a.list(h, names, quiet)
		},
	})
	c.Flags().StringArrayVarP(&labels, "label", "l", nil, "containers with the label `KEY[=VALUE]`")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "names only")
	return c
}

func (a *app) list(h *berth.Host, names []container.Name, quiet bool) error {
	if quiet {
		for _, n := range names {
			fmt.Fprintln(a.Out, n)
		}
		return nil
	}
	all, unread := h.List(names)
	if a.json {
		return errors.Join(a.printJSON(all), unread)
	}
	rows := [][]string{{"NAME", "STATE", "FOR", "ADDRESS", "IMAGE", "OWNER"}}
	for _, s := range all {
		rows = append(rows, []string{string(s.Name), stateWord(s), ago(s.Since), addressWord(s), cmp.Or(s.Image, s.System.Short()), string(s.Owner)})
	}
	return errors.Join(table(a.Out, rows), unread)
}

func stateWord(s container.Status) string {
	if len(s.Pending) > 0 {
		return string(s.State) + " (restart pending)"
	}
	return string(s.State)
}

func (a *app) statusCmd() *cobra.Command {
	var s selection
	c := a.jsonFlag(&cobra.Command{
		Use: "status NAME...", Short: "Show what containers are doing", ValidArgsFunction: a.complete,
		Example: "  berth status web\n  berth status --all --json",
		RunE:    a.onMany(&s, a.status),
	})
	s.flags(c)
	return c
}

func (a *app) status(ctx context.Context, h *berth.Host, names []container.Name) error {
	all, err := h.List(names)
	if err != nil {
		return err
	}
	for i := range all {
		if err := h.CountTraffic(&all[i]); err != nil {
			return err
		}
		var err error
		if all[i].Health, err = h.Health(ctx, all[i].Name); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(all)
	}
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(a.Out)
		}
		if err := table(a.Out, statusRows(s)); err != nil {
			return err
		}
	}
	return nil
}

func statusRows(s container.Status) [][]string {
	rows := [][]string{{"name", string(s.Name)}, {"state", stateWord(s)}}
	add := func(key, value string) {
		if value != "" {
			rows = append(rows, []string{key, value})
		}
	}
	if !s.Since.IsZero() {
		add("since", s.Since.Local().Format(time.DateTime))
	}
	add("reason", s.Reason)
	add("owner", string(s.Owner))
	add("image", strings.TrimSpace(s.Image+" "+s.Digest.Short()))
	add("system", string(s.System))
	add("switched itself to", string(s.OwnSystem))
	if s.Generation != 0 {
		add("generation", fmt.Sprint(s.Generation))
	}
	if s.Health != nil {
		add("health", cmp.Or(s.Health.Trouble, "good"))
	}
	if s.Leader != 0 {
		add("leader", fmt.Sprintf("PID %d", s.Leader))
	}
	if s.Restarts != 0 {
		add("restarts", fmt.Sprint(s.Restarts))
		add("failure", s.Failure)
	}
	if s.UIDBase != 0 {
		add("users", fmt.Sprintf("%d to %d on the host", s.UIDBase, s.UIDBase+container.IDRange-1))
	} else {
		add("users", "those of the host")
	}
	if s.HostNetwork {
		add("network", "that of the host")
	}
	if s.NetworkNamespace != "" {
		add("network", "that of "+s.NetworkNamespace)
	}
	for _, l := range s.Links {
		add("network", linkWords(l))
	}
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		add("label", k+"="+s.Labels[k])
	}
	for _, i := range s.Ingress {
		add("ingress", ingressWords(i))
	}
	for _, c := range s.Pending {
		add("pending", fmt.Sprintf("%s: %s -> %s", c.Key, orUnset(c.Old), orUnset(c.New)))
	}
	for _, l := range s.Lost {
		add("without", l)
	}
	return rows
}

func (a *app) showCmd() *cobra.Command {
	var all bool
	c := a.jsonFlag(&cobra.Command{
		Use: "show NAME...", Short: "Show what is wanted of containers, as a declaration", ValidArgsFunction: a.complete,
		Args:    takes(1, noLimit),
		Example: "  berth show web >berth.yaml\n  berth show 'web*' --all",
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			names, err := h.Select(berth.Selection{Names: args})
			if err != nil {
				return err
			}
			specs := map[container.Name]container.Spec{}
			for _, n := range names {
				if specs[n], _, err = h.Spec(n); err != nil {
					return err
				}
			}
			if a.json {
				return a.printJSON(map[string]any{"containers": specs})
			}
			_, err = a.Out.Write(declare.RenderAll(names, specs, all))
			return err
		},
	})
	c.Flags().BoolVar(&all, "all", false, "show keys that have their default too")
	return c
}
