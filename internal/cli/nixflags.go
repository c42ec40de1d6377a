package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
)

// builders are the verbs that may have Nix build something.
var builders = [...]string{"plan", "apply", "up", "create", "set", "edit", "update"}

// passFlags gives a verb the flags that the host's Nix gets as they are. They
// are hidden: the help names them in one sentence.
func (a *app) passFlags(c *cobra.Command) *cobra.Command {
	var names []string
	for _, f := range berth.NixFlags() {
		v := &nixFlag{app: a, name: f.Name, values: f.Values}
		flag := c.Flags().VarPF(v, f.Name, f.Short, "for Nix")
		flag.Hidden = true
		if f.Values == 0 {
			flag.NoOptDefVal = "true"
		}
		names = append(names, "--"+f.Name)
	}
	c.Long = strings.TrimPrefix(c.Long+"\n\n", "\n\n")
	if c.Long == "" {
		c.Long = c.Short + ".\n\n"
	}
	c.Long += "Where Nix evaluates or builds something, it gets these flags as they are: " + strings.Join(names, ", ") + "."
	return c
}

// nixFlag is one of these flags.
type nixFlag struct {
	app    *app
	name   string
	values int
}

func (f *nixFlag) String() string { return "" }

func (f *nixFlag) Type() string { return "string" }

func (f *nixFlag) Set(s string) error {
	switch key, value, ok := strings.Cut(s, "="); {
	case f.values == 0 && s == "false":
	case f.values == 0:
		f.app.nixFlags = append(f.app.nixFlags, "--"+f.name)
	case f.values == 1:
		f.app.nixFlags = append(f.app.nixFlags, "--"+f.name, s)
	case ok:
		f.app.nixFlags = append(f.app.nixFlags, "--"+f.name, key, value)
	default:
		return fmt.Errorf("it takes two words: --%s NAME VALUE", f.name)
	}
	return nil
}

// joinPairs makes --option NAME VALUE, as Nix has it, --option NAME=VALUE, for
// all flags of verbs that build and that take two words.
func joinPairs(args []string) []string {
	if !slices.ContainsFunc(args, func(s string) bool { return slices.Contains(builders[:], s) }) {
		return args
	}
	var out []string
	for i := 0; i < len(args); i++ {
		pair := slices.ContainsFunc(berth.NixFlags(), func(f berth.NixFlag) bool { return f.Values == 2 && args[i] == "--"+f.Name })
		switch {
		case args[i] == "--":
			return append(out, args[i:]...)
		case pair && i+2 < len(args) && !strings.Contains(args[i+1], "="):
			out = append(out, args[i]+"="+args[i+1]+"="+args[i+2])
			i += 2
		default:
			out = append(out, args[i])
		}
	}
	return out
}
