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
	hint := c.CommandPath() + " --help shows its flags"
	switch {
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
		if here := elsewhere()[args[0]]; here != "" {
			return &container.Error{Err: err, Code: container.CodeUsage, Hint: "here it is berth " + here}
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

// elsewhere are commands of Docker, Incus, machinectl and nixos-container that
// have another name here.
func elsewhere() map[string]string {
	return map[string]string{
		"compose": "up, with a berth.yaml", "config": "plan", "rm": "destroy NAME", "kill": "terminate NAME", "unpause": "resume NAME", "images": "image ls",
		"rmi": "image rm IMAGE", "pull": "image import REFERENCE", "build": "image import REFERENCE", "inspect": "status NAME --json, and berth show NAME", "top": "exec NAME -- top", "stats": "status NAME",
		"launch": "create NAME --image REFERENCE --start", "init": "create NAME --image REFERENCE", "delete": "destroy NAME", "info": "status NAME", "console": "login NAME",
		"poweroff": "stop NAME", "reboot": "restart NAME", "remove": "destroy NAME", "import-tar": "create NAME --image tar:/PATH", "pull-tar": "create NAME --image tar:/PATH",
		"copy-to": "cp FILE NAME:/PATH", "copy-from": "cp NAME:/PATH FILE", "enable": "set NAME autoStart=true", "disable": "set NAME autoStart=false", "bind": "set NAME bindMounts./PATH.hostPath=/PATH",
		"root-login": "shell NAME", "show-ip": "status NAME",
	}
}
