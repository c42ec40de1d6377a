package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// complete offers the names of containers that are not on the command line yet.
func (a *app) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	h, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := h.Select(berth.Selection{All: true})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, n := range names {
		if !slices.Contains(args, string(n)) {
			out = append(out, string(n))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeSet offers a container, and then keys: KEY=, or KEY. where the key is
// a map.
func (a *app) completeSet(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.complete(c, args, word)
	}
	var keys []string
	for _, k := range container.Keys() {
		if k.Default == "{}" {
			keys = append(keys, k.Name+".")
		} else {
			keys = append(keys, k.Name+"=")
		}
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeImage offers the references of the images that are there.
func (a *app) completeImage(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	h, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := h.Images()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var refs []string
	for _, i := range all {
		for _, ref := range i.Refs {
			if !slices.Contains(args, ref) {
				refs = append(refs, ref)
			}
		}
	}
	return refs, cobra.ShellCompDirectiveNoFileComp
}
