package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth/container"
)

// usageError is a mistake in the command line itself.
func usageError(err error) error {
	return &container.Error{Err: err, Code: container.CodeUsage, Hint: "berth --help shows the commands, berth COMMAND --help one of them"}
}

// misuse is a mistake in the command line of a verb.
func misuse(c *cobra.Command, err error) error {
	return &container.Error{Err: err, Code: container.CodeUsage, Hint: "usage: " + c.UseLine()}
}

// noLimit is for verbs that take any number of arguments.
const noLimit = math.MaxInt

// takes is for a verb with least to most arguments.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return misuse(c, errors.New("an argument is missing"))
		case len(args) > most:
			return misuse(c, fmt.Errorf("%q is one argument too many", args[most]))
		}
		return nil
	}
}

// flagError says what is wrong with a flag.
func flagError(c *cobra.Command, err error) error {
	var number *strconv.NumError
	switch {
	case errors.As(err, &number) && number.Func == "ParseBool":
		err = errors.New(strings.Replace(err.Error(), number.Error(), "write true or false", 1))
	case errors.As(err, &number):
		err = errors.New(strings.Replace(err.Error(), number.Error(), "it is not a whole number", 1))
	}
	if rest := c.Flags().Args(); !c.HasParent() && len(rest) > 0 { // flags of a command that is none
		return unknownCommand(c, rest)
	}
	hint := c.CommandPath() + " --help shows its flags"
	here := ""
	if unknown, ok := errors.AsType[interface {
		error
		GetSpecifiedName() string
	}](err); ok {
		here = flagElsewhere(c.Name(), unknown.GetSpecifiedName())
	}
	switch {
	case c.Hidden:
		return byHand()
	case here != "":
		hint = here
	case strings.Contains(err.Error(), "invalid duration"), strings.Contains(err.Error(), "missing unit in duration"):
		hint = "write for example 30s or 1m30s"
	case !c.HasParent():
		hint = "flags come after the command, as in berth up -f FILE; berth --help shows the commands"
	}
	return &container.Error{Err: err, Code: container.CodeUsage, Hint: hint}
}

func helpCmd() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(c.Root(), rest)
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// unknownCommand refuses a word that is no command, and names what does it, or
// those like it.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("there is no command %q", args[0])
	if !cmd.HasParent() {
		if hint := commandElsewhere(args[0]); hint != "" {
			return &container.Error{Err: err, Code: container.CodeUsage, Hint: hint}
		}
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		return &container.Error{Err: err, Code: container.CodeUsage, Hint: "did you mean " + strings.Join(like, " or ")}
	}
	if cmd.HasParent() {
		return &container.Error{Err: err, Code: container.CodeUsage, Hint: cmd.CommandPath() + " --help shows its commands"}
	}
	return usageError(err)
}
