package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/engine"
	"github.com/berth-containers/berth/internal/network/ingress"
)

func (a *app) ingressCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "ingress", Short: "See the names for which the host answers HTTP, and trust their certificates",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.ingressLsCmd(), a.ingressCACmd(), a.ingressServeCmd())
	return c
}

func (a *app) ingressLsCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "ls [NAME...]", Short: "List the names of running containers, and how they fare",
		Long: `ls lists the names for which the host answers HTTP and HTTPS, of running containers, and what is wrong with them.

REACHED says whether the guest answered the last request: yes, no with the reason, or untried.`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: a.complete,
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			names, err := h.Select(berth.Selection{Names: args, All: len(args) == 0})
			if err != nil {
				return err
			}
			all, err := h.List(names)
			if err != nil {
				return err
			}
			return a.listIngress(all)
		},
	})
}

// namedIngress is a row of ls.
type namedIngress struct {
	Container container.Name `json:"container"`
	container.IngressStatus
}

func (a *app) listIngress(all []container.Status) error {
	out := []namedIngress{}
	for _, s := range all {
		for _, i := range s.Ingress {
			out = append(out, namedIngress{s.Name, i})
		}
	}
	if a.json {
		return a.printJSON(out)
	}
	rows := [][]string{{"HOST", "CONTAINER", "PORT", "TLS", "EXPIRES", "REACHED", "TROUBLE"}}
	for _, i := range out {
		expires := ""
		if !i.Expires.IsZero() {
			expires = i.Expires.Local().Format(time.DateOnly)
		}
		rows = append(rows, []string{i.Host, string(i.Container), fmt.Sprint(i.Port), string(i.TLS), expires, reached(i.IngressStatus), i.Trouble})
	}
	return table(a.Out, rows)
}

func reached(i container.IngressStatus) string {
	if i.Reason != "" {
		return fmt.Sprintf("%s (%s)", i.Reach, i.Reason)
	}
	return string(i.Reach)
}

// ingressWords is one name in status.
func ingressWords(i container.IngressStatus) string {
	words := fmt.Sprintf("%s to port %d, tls %s, reached: %s", i.Host, i.Port, i.TLS, reached(i))
	if !i.Expires.IsZero() {
		words += ", certificate until " + i.Expires.Local().Format(time.DateTime)
	}
	if i.Trouble != "" {
		words += "; " + i.Trouble
	}
	return words
}

func (a *app) ingressCACmd() *cobra.Command {
	return &cobra.Command{
		Use: "ca", Short: "Print the certificate of berth's own authority, which signs for tls: internal",
		Long: `ca prints the root certificate, in PEM, that those who use names with tls: internal have to trust. On Debian:

    berth ingress ca > /usr/local/share/ca-certificates/berth.crt && update-ca-certificates

The authority is this host's alone. It is made when it is first needed, and its key stays in /var/lib/berth/ingress.`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.open(); err != nil {
				return err
			}
			paths, err := a.paths()
			if err != nil {
				return err
			}
			root, err := ingress.Root(cmd.Context(), paths)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.Out, root)
			return err
		},
	}
}

// ingressServeCmd is the process that answers.
func (a *app) ingressServeCmd() *cobra.Command {
	var takeover string
	c := &cobra.Command{
		Use: "serve", Hidden: true, Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			paths, err := a.paths()
			if err != nil {
				return err
			}
			s, err := (&engine.Engine{Paths: paths}).Settings()
			if err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			leave := func() error { return nil } // in a unit systemd does
			if os.Getenv("NOTIFY_SOCKET") == "" {
				h, err := cgroup.Mounted()
				if err != nil {
					return err
				}
				leave = func() error { return ingress.LeaveGroup(paths, h) }
			}
			debug.SetGCPercent(50) // memory counts here
			err = ingress.Run(cmd.Context(), ingress.Options{
				Paths:   paths,
				ACME:    ingress.ACME{Directory: s.Ingress.ACMEDirectory, Root: s.Ingress.ACMERoot, Email: s.Ingress.Email},
				Program: append([]string{program}, ingress.Arguments(paths)...), Takeover: takeover, Leave: leave,
			})
			if errors.Is(err, ingress.ErrEnded) {
				a.code = 128 + int(syscall.SIGTERM) // so that systemd starts it again
			}
			return err
		},
	}
	c.Flags().StringVar(&takeover, "takeover", "", "what the process before has left")
	return serves(c)
}
