package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// many is a verb that does one thing to many containers.
func (a *app) many(use, short, done string, extra func(*cobra.Command), f func(context.Context, *berth.Host, container.Name) error) *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use: use + " NAME...", Short: short, ValidArgsFunction: a.complete,
		Example: fmt.Sprintf("  berth %[1]s web db\n  berth %[1]s 'web*'\n  berth %[1]s -l tier=front", use),
		RunE: a.onMany(&s, func(ctx context.Context, h *berth.Host, names []container.Name) error {
			return a.each(names, done, func(n container.Name) error { return f(ctx, h, n) })
		}),
	}
	s.flags(c)
	if extra != nil {
		extra(c)
	}
	return c
}

func (a *app) startCmd() *cobra.Command {
	var s selection
	var auto bool
	c := &cobra.Command{
		Use: "start NAME...", Short: "Start containers and wait until their guests are ready", ValidArgsFunction: a.complete,
		Example: "  berth start web db\n  berth start 'web*'\n  berth start -l tier=front",
		RunE: func(cmd *cobra.Command, args []string) error {
			if auto {
				return a.autostart(cmd.Context(), args)
			}
			return a.onMany(&s, a.start)(cmd, args)
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&auto, "autostart", false, "containers that have autoStart, as when the machine boots")
	return c
}

func (a *app) start(ctx context.Context, h *berth.Host, names []container.Name) error {
	return a.each(names, "ready", func(n container.Name) error { return h.Start(ctx, n) })
}

// autostart is what happens when the machine boots.
func (a *app) autostart(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return usageError(errors.New("either names or --autostart, not both"))
	}
	h, err := a.open()
	if err != nil {
		return err
	}
	names, err := h.Autostart(ctx)
	return errors.Join(err, a.start(ctx, h, names)) // one that cannot be read keeps no other from starting
}

// timeoutFlag is for verbs that shut guests down.
func timeoutFlag(limit *time.Duration) func(*cobra.Command) {
	return func(c *cobra.Command) {
		c.Flags().DurationVar(limit, "timeout", berth.StopLimit, "kill a guest that has not shut down by then")
	}
}

func (a *app) stopCmd() *cobra.Command {
	var s selection
	var limit time.Duration
	c := &cobra.Command{
		Use: "stop NAME...", Short: "Shut guests down", ValidArgsFunction: a.complete,
		Example: "  berth stop web db\n  berth stop --all --timeout 30s",
		RunE: a.onMany(&s, func(ctx context.Context, h *berth.Host, names []container.Name) error {
			return a.stop(ctx, h, names, limit)
		}),
	}
	s.flags(c)
	timeoutFlag(&limit)(c)
	return c
}

func (a *app) stop(ctx context.Context, h *berth.Host, names []container.Name, limit time.Duration) error {
	groups, err := h.StopOrder(names)
	if err != nil {
		return err
	}
	return a.inGroups(groups, "stopped", func(n container.Name) error { return h.Stop(ctx, n, limit) })
}

func (a *app) restartCmd() *cobra.Command {
	var limit time.Duration
	return a.many("restart", "Shut guests down and start them again", "ready", timeoutFlag(&limit),
		func(ctx context.Context, h *berth.Host, n container.Name) error { return h.Restart(ctx, n, limit) })
}

func (a *app) terminateCmd() *cobra.Command {
	return a.many("terminate", "Kill guests without shutting them down", "terminated", nil,
		func(ctx context.Context, h *berth.Host, n container.Name) error { return h.Terminate(ctx, n) })
}

func (a *app) pauseCmd() *cobra.Command {
	return a.many("pause", "Freeze the processes of running guests", "paused", nil,
		func(ctx context.Context, h *berth.Host, n container.Name) error { return h.Pause(ctx, n, true) })
}

func (a *app) resumeCmd() *cobra.Command {
	return a.many("resume", "Let paused guests go on", "running", nil,
		func(ctx context.Context, h *berth.Host, n container.Name) error { return h.Pause(ctx, n, false) })
}

func (a *app) destroyCmd() *cobra.Command {
	var s selection
	var limit time.Duration
	c := a.yesFlag(&cobra.Command{
		Use: "destroy NAME...", Short: "Remove containers with everything their guests wrote; bind mounts are not touched", ValidArgsFunction: a.complete,
		Example: "  berth destroy web\n  berth destroy 'test-*' --yes",
		RunE: a.onMany(&s, func(ctx context.Context, h *berth.Host, names []container.Name) error {
			if len(names) == 0 {
				a.say("nothing to do")
				return nil
			}
			ok, err := a.agreed(fmt.Sprintf("Remove %s and all that is in it?", list(names)))
			if err != nil || !ok {
				return err
			}
			groups, err := h.StopOrder(names)
			if err != nil {
				return err
			}
			return a.inGroups(groups, "destroyed", func(n container.Name) error { return h.Destroy(ctx, n, limit) })
		}),
	})
	s.flags(c)
	timeoutFlag(&limit)(c)
	return c
}

func (a *app) waitCmd() *cobra.Command {
	var s selection
	var state string
	var limit time.Duration
	c := &cobra.Command{
		Use: "wait NAME...", Short: "Wait until containers are ready, or stopped", ValidArgsFunction: a.complete,
		Example: "  berth wait web --timeout 1m\n  berth wait web --for stopped",
		RunE: a.onMany(&s, func(ctx context.Context, h *berth.Host, names []container.Name) error {
			want, ok := map[string]container.State{"ready": container.Running, "stopped": container.Stopped}[state]
			if !ok {
				return usageError(fmt.Errorf("--for %q is neither ready nor stopped", state))
			}
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			return a.each(names, state, func(n container.Name) error { return h.Await(ctx, n, want) })
		}),
	}
	s.flags(c)
	c.Flags().StringVar(&state, "for", "ready", "`STATE` to wait for: ready or stopped")
	_ = c.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"ready", "stopped"}, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().DurationVar(&limit, "timeout", 0, "give up after this time, with exit code 5 (0: never)")
	return c
}
