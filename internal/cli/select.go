package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// selection are the flags of verbs that take many containers.
type selection struct {
	all    bool
	labels []string
}

func (s *selection) flags(c *cobra.Command) {
	c.Flags().BoolVarP(&s.all, "all", "a", false, "all containers")
	c.Flags().StringArrayVarP(&s.labels, "label", "l", nil, "containers with the label `KEY[=VALUE]`; several must all be there")
}

// names are the containers that the arguments and flags choose.
func (s *selection) names(h *berth.Host, args []string) ([]container.Name, error) {
	if len(args) == 0 && !s.all && len(s.labels) == 0 {
		return nil, &container.Error{Err: errors.New("no container is named"), Code: container.CodeUsage,
			Hint: "give names, a pattern such as 'web*', --all, or -l KEY=VALUE"}
	}
	if len(args) > 0 && s.all {
		return nil, usageError(errors.New("either names or --all, not both"))
	}
	names, err := h.Select(berth.Selection{Names: args, All: s.all, Labels: s.labels})
	if err == nil && len(names) == 0 && !s.all {
		return nil, &container.Error{Err: errors.New("no container matches"), Code: container.CodeNotFound, Hint: "berth ls shows the containers that there are"}
	}
	return names, err
}

// onMany is what a verb does that is for many containers.
func (a *app) onMany(s *selection, f func(context.Context, *berth.Host, []container.Name) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		h, err := a.open()
		if err != nil {
			return err
		}
		names, err := s.names(h, args)
		if err != nil {
			return err
		}
		return f(cmd.Context(), h, names)
	}
}

// onOne is what a verb does that is for the container in its first argument;
// it gets the other arguments too.
func (a *app) onOne(f func(context.Context, *berth.Host, container.Name, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		h, err := a.open()
		if err != nil {
			return err
		}
		n, err := one(h, args[0])
		if err != nil {
			return err
		}
		return f(cmd.Context(), h, n, args[1:])
	}
}

// each does one thing to many containers, some at a time, and prints a line
// for each on the error stream, and with more than one, or none, a summary.
func (a *app) each(names []container.Name, done string, f func(container.Name) error) error {
	return a.inGroups([][]container.Name{names}, done, f)
}

// inGroups is each for groups of containers, one group after the other.
func (a *app) inGroups(groups [][]container.Name, done string, f func(container.Name) error) error {
	var errs []error
	total, failed := 0, 0
	for _, names := range groups {
		for _, err := range berth.Each(names, func(n container.Name) error { return a.tell(n, done, f(n)) }) {
			total++
			if err != nil {
				failed++
				errs = append(errs, err)
			}
		}
	}
	switch {
	case total == 0:
		a.say("nothing to do")
	case total > 1:
		a.say("%d %s, %d failed", total-failed, done, failed)
	}
	return errors.Join(errs...)
}

// tell says that something was done to a container, or names it in the error.
func (a *app) tell(n container.Name, done string, err error) error {
	if err != nil {
		return container.Named(n, err)
	}
	a.say("%s: %s", n, done)
	return nil
}

// one is the container that a verb's first argument names.
func one(h *berth.Host, arg string) (container.Name, error) {
	names, err := h.Select(berth.Selection{Names: []string{arg}})
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", &container.Error{Subject: arg, Err: fmt.Errorf("it stands for %d containers, this needs one", len(names)), Code: container.CodeUsage}
	}
	return names[0], nil
}
