package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// commandFlags are shared by the verbs that run programs in guests.
type commandFlags struct {
	user, dir string
	via       wayFlag
	env       []string
	terminal  bool
}

func (f *commandFlags) flags(c *cobra.Command) {
	c.Flags().SetInterspersed(false)
	c.Flags().StringVarP(&f.user, "user", "u", "root", "user of the guest, by name or number")
	c.Flags().StringVarP(&f.dir, "workdir", "w", "", "working directory in the guest (default: the user's home)")
	f.via.flag(c)
	c.Flags().StringArrayVarP(&f.env, "env", "e", nil, "environment variable `KEY=VALUE`")
}

// wayFlag is the value of --via.
type wayFlag struct{ berth.Way }

func (f *wayFlag) String() string { return cmp.Or(string(f.Way), "auto") }
func (f *wayFlag) Type() string   { return "way" }

func (f *wayFlag) flag(c *cobra.Command) {
	c.Flags().Var(f, "via", "`WAY` into the guest: unit of its systemd, direct, or auto: unit where berth's own supervisor is systemd and the guest's answers, else direct")
}

// Set implements pflag.Value.
func (f *wayFlag) Set(text string) error {
	ways := map[string]berth.Way{"auto": berth.Either, "unit": berth.ByUnit, "direct": berth.Direct}
	way, ok := ways[text]
	if !ok {
		return errors.New("there are unit, direct and auto")
	}
	f.Way = way
	return nil
}

// afterName are the arguments for the program.
func afterName(cmd *cobra.Command, args []string) ([]string, error) {
	switch rest := args[1:]; {
	case len(rest) > 0 && rest[0] == "--":
		return rest[1:], nil
	case len(rest) > 0 && strings.HasPrefix(rest[0], "-"):
		return nil, misuse(cmd, fmt.Errorf("%s: flags of %s come before the name; what comes after it is for the guest, and begins with --", rest[0], cmd.Name()))
	default:
		return rest, nil
	}
}

func (a *app) execCmd() *cobra.Command {
	var f commandFlags
	c := &cobra.Command{
		Use: "exec [flags] NAME -- COMMAND [ARGUMENT...]", Short: "Run a program in a running guest; its exit code is the command's",
		ValidArgsFunction: a.complete, Args: takes(2, noLimit),
		Example: "  berth exec web -- systemctl --failed\n  berth exec -t web -- htop\n  tar c src | berth exec -u builder -w /build web -- tar x",
		RunE: func(cmd *cobra.Command, args []string) error {
			rest, err := afterName(cmd, args)
			if err != nil {
				return err
			}
			if len(rest) == 0 {
				return misuse(cmd, errors.New("no command is given"))
			}
			return a.inside(cmd, args[0], berth.Command{Args: rest, User: f.user, Dir: f.dir, Env: f.env, Way: f.via.Way, Terminal: f.terminal})
		},
	}
	f.flags(c)
	c.Flags().BoolVarP(&f.terminal, "tty", "t", false, "give the program a terminal")
	c.Flags().BoolP("interactive", "i", false, "no effect: the standard input is always passed on")
	return c
}

func (a *app) shellCmd() *cobra.Command {
	var f commandFlags
	c := &cobra.Command{
		Use: "shell [flags] NAME [-- ARGUMENT...]", Short: "Open a login shell in a running guest, without a password",
		ValidArgsFunction: a.complete, Args: takes(1, noLimit),
		Example: "  berth shell web\n  berth shell -u postgres db\n  berth shell db -- -c \"psql -l\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			rest, err := afterName(cmd, args)
			if err != nil {
				return err
			}
			return a.inside(cmd, args[0], berth.Command{Args: rest, Shell: true, User: f.user, Dir: f.dir, Env: f.env, Way: f.via.Way, Terminal: isTerminal(a.In)})
		},
	}
	f.flags(c)
	return c
}

func (a *app) loginCmd() *cobra.Command {
	var via wayFlag
	c := &cobra.Command{
		Use: "login NAME", Short: "Log in to a running guest, with a user's name and password",
		ValidArgsFunction: a.complete, Args: takes(1, 1),
		Example: "  berth login web",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inside(cmd, args[0], berth.Command{Args: []string{"login"}, Terminal: true, Dir: "/", Way: via.Way})
		},
	}
	via.flag(c)
	return c
}

// inside runs a program in a guest and takes over its exit code.
func (a *app) inside(cmd *cobra.Command, name string, c berth.Command) error {
	h, err := a.open()
	if err != nil {
		a.code = 125
		return err
	}
	n, err := one(h, name)
	if err != nil {
		a.code = 125
		return err
	}
	c.Stdin, c.Stdout, c.Stderr = a.In, a.Out, a.Err
	a.code, err = h.Exec(context.WithoutCancel(cmd.Context()), n, c.Foreground()) // signals are the program's
	return container.Named(n, err)
}
