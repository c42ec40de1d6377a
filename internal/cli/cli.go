// Package cli is the command line of berth: one file for each verb or family
// of verbs, and one that prints. Verbs read their arguments, call the library
// and print; they decide nothing.
package cli

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// Streams are the standard streams of a command.
type Streams struct{ In, Out, Err *os.File }

// app is what the verbs share.
type app struct {
	Streams
	program string // its name in messages
	root    string // --root
	json    bool   // --json
	yes     bool   // --yes
	code    int    // the exit code, where it is a program's own

	nixFlags []string      // for the host's Nix
	hosts    []*berth.Host // that are open
}

// Main runs the command line and returns its exit code.
func Main(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s, program: "berth"}
	defer a.close()
	args = joinPairs(args)
	root := a.command(args)
	if c, _, err := root.Find(args); err != nil || c == root {
		root = a.command(nil)
	}
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		a.printError(err)
		if a.code != 0 {
			return a.code
		}
		return int(container.CodeOf(err))
	}
	return a.code
}

// Command is the whole command line, for documentation.
func Command() *cobra.Command {
	return (&app{Streams: Streams{os.Stdin, os.Stdout, os.Stderr}}).command(nil)
}

// The groups of verbs in the help.
const (
	groupDeclare = "declare"
	groupRun     = "run"
	groupInside  = "inside"
	groupHost    = "host"
)

// base is a command line without commands.
func (a *app) base() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           "berth",
		Short:         "Full-system Linux containers from a declaration",
		Long:          "berth runs full-system Linux containers from a declaration, on any Linux with systemd-nspawn.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.printVersion()
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&version, "version", false, "print the version of berth")
	root.SetFlagErrorFunc(flagError)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.PersistentFlags().StringVar(&a.root, "root", "", "directory below which berth keeps everything (default: $BERTH_ROOT, or /)")
	return root
}

// verbs are the commands of a group, by their names.
type verbs map[string]func(*app) *cobra.Command

// all are the verbs by groups; those that berth runs itself are in none.
func all() map[string]verbs {
	return map[string]verbs{
		groupDeclare: {"plan": (*app).planCmd, "apply": (*app).applyCmd, "up": (*app).upCmd, "down": (*app).downCmd, "create": (*app).createCmd, "set": (*app).setCmd,
			"edit": (*app).editCmd, "show": (*app).showCmd, "destroy": (*app).destroyCmd, "update": (*app).updateCmd, "generations": (*app).generationsCmd, "rollback": (*app).rollbackCmd},
		groupRun: {"start": (*app).startCmd, "stop": (*app).stopCmd, "restart": (*app).restartCmd, "terminate": (*app).terminateCmd, "pause": (*app).pauseCmd,
			"resume": (*app).resumeCmd, "ls": (*app).lsCmd, "status": (*app).statusCmd, "wait": (*app).waitCmd, "why": (*app).whyCmd, "port": (*app).portCmd},
		groupInside: {"exec": (*app).execCmd, "shell": (*app).shellCmd, "login": (*app).loginCmd, "logs": (*app).logsCmd, "cp": (*app).cpCmd},
		groupHost: {"adopt": (*app).adoptCmd, "image": (*app).imageCmd, "nix": (*app).nixCmd, "network": (*app).networkCmd, "ingress": (*app).ingressCmd, "doctor": (*app).doctorCmd,
			"explain": (*app).explainCmd, "install": (*app).installCmd, "uninstall": (*app).uninstallCmd, "schema": (*app).schemaCmd, "version": (*app).versionCmd},
		"": {"shim": (*app).shimCmd, "run": (*app).runCmd, "attach": (*app).attachCmd, "settle": (*app).settleCmd, "halt": (*app).haltCmd, "names": (*app).namesCmd,
			"check": (*app).checkCmd, "pack": (*app).packCmd, "unpack": (*app).unpackCmd, "enrol": (*app).enrolCmd},
	}
}

// command is the command line, with those verbs only that are among words, or
// with all for none: to make them all takes as long as a short command does.
func (a *app) command(words []string) *cobra.Command {
	root := a.base()
	root.SuggestionsMinimumDistance = 2
	root.AddGroup(
		&cobra.Group{ID: groupDeclare, Title: "Containers and their declarations:"},
		&cobra.Group{ID: groupRun, Title: "Running them:"},
		&cobra.Group{ID: groupInside, Title: "Working in them:"},
		&cobra.Group{ID: groupHost, Title: "The host:"},
	)
	for group, verbs := range all() {
		for name, verb := range verbs {
			if words == nil || slices.Contains(words, name) {
				c := verb(a)
				c.GroupID = group
				if c.HasSubCommands() {
					c.Args = unknownCommand
				}
				root.AddCommand(c)
			}
		}
	}
	root.SetHelpCommand(helpCmd())
	root.SetHelpCommandGroupID(groupHost)
	root.SetCompletionCommandGroupID(groupHost)
	return root
}

// rootDir is what --root says, or else the environment.
func (a *app) rootDir() (string, error) {
	return filepath.Abs(cmp.Or(a.root, os.Getenv("BERTH_ROOT"), "/"))
}

// open is the host that the command is about. It needs root.
func (a *app) open() (*berth.Host, error) {
	if os.Geteuid() != 0 {
		return nil, container.NeedsRoot()
	}
	return a.look()
}

// look is the host for commands that anybody may run.
func (a *app) look() (*berth.Host, error) {
	root, err := a.rootDir()
	if err != nil {
		return nil, err
	}
	h, err := berth.Open(berth.Options{Root: root, Events: newProgress(a.Err).event})
	if err == nil {
		a.hosts = append(a.hosts, h)
	}
	return h, err
}

func (a *app) close() {
	for _, h := range a.hosts {
		h.Close()
	}
}

// jsonFlag gives a verb that answers the flag --json.
func (a *app) jsonFlag(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "answer in JSON")
	return c
}

// yesFlag gives a verb that may ask the flag --yes.
func (a *app) yesFlag(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
