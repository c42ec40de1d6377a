package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
)

func (a *app) doctorCmd() *cobra.Command {
	var fix bool
	c := a.jsonFlag(&cobra.Command{
		Use: "doctor", Short: "Check whether this host can run containers, and what was left behind", Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			if fix {
				done, err := h.Sweep(cmd.Context())
				for _, d := range done {
					a.say("removed %s", d)
				}
				if err != nil {
					return err
				}
			}
			return a.printFindings(h.Doctor(cmd.Context()))
		},
	})
	c.Flags().BoolVar(&fix, "fix", false, "remove what killed commands left behind, and start what they did not come to start")
	return c
}

func (a *app) printFindings(all []container.Finding) error {
	bad := 0
	for _, f := range all {
		if f.Severity == container.Bad {
			bad++
		}
	}
	if a.json {
		if err := a.printJSON(all); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			fmt.Fprintf(a.Out, "%-8s %s: %s\n", f.Severity, f.Check, f.Text)
			if f.Remedy != "" {
				fmt.Fprintf(a.Out, "%-8s   remedy: %s\n", "", f.Remedy)
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of the checks failed", bad)
	}
	return nil
}

func (a *app) installCmd() *cobra.Command {
	return a.partsCmd("install", "Have systemd start containers at boot", "made", (*berth.Host).Install)
}

func (a *app) uninstallCmd() *cobra.Command {
	return a.partsCmd("uninstall", "Undo install; containers and their data stay", "removed", (*berth.Host).Uninstall)
}

func (a *app) partsCmd(use, short, done string, f func(*berth.Host, context.Context) ([]string, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			parts, err := f(h, cmd.Context())
			for _, p := range parts {
				a.say("%s %s", done, p)
			}
			if err == nil && len(parts) == 0 {
				a.say("nothing to do")
			}
			return err
		},
	}
}

func (a *app) schemaCmd() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of a declaration", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.Out.Write(declare.Schema())
			return err
		},
	}
}

func (a *app) versionCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "version", Short: "Print the version of berth", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error { return a.printVersion() },
	})
}

func (a *app) printVersion() error {
	v := buildVersion()
	if a.json {
		return a.printJSON(map[string]string{"version": v, "go": runtime.Version()})
	}
	fmt.Fprintf(a.Out, "berth %s %s\n", v, runtime.Version())
	return nil
}

// release is the version of the package that this program is in. The linker
// sets it; see packaging.
var release string

// buildVersion is the version that this program was built as.
func buildVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
