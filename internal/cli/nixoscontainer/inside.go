package nixoscontainer

import (
	"context"
	"os"
	"strings"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

// login asks for a user and a password in the guest.
func (r *run) login(ctx context.Context) error {
	return r.inside(ctx, berth.Command{Args: []string{"login"}, Terminal: true, Dir: "/"})
}

// rootLogin is a login shell of the guest's root.
func (r *run) rootLogin(ctx context.Context) error {
	return r.inside(ctx, berth.Command{Shell: true, Terminal: isTerminal(r.In)})
}

// run has the login shell of the guest's root run a command, so that it has the
// environment of a login, and become it, so that its exit code is ours.
func (r *run) run(ctx context.Context) error {
	return r.inside(ctx, berth.Command{Shell: true, Args: []string{"-c", "exec " + quoted(r.args[2:])}, Terminal: isTerminal(r.In) && isTerminal(r.Out)})
}

// quoted are words as a shell reads them back.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(out, " ")
}

// inside runs a program in the guest and takes over its exit code.
func (r *run) inside(ctx context.Context, c berth.Command) (err error) {
	if term := os.Getenv("TERM"); term != "" && !c.Terminal { // su -l keeps it, alone of all that is there
		c.Env = append(c.Env, "TERM="+term)
	}
	c.Stdin, c.Stdout, c.Stderr = r.In, r.Out, r.Err
	r.code, err = r.host.Exec(context.WithoutCancel(ctx), r.name, c.Foreground()) // signals are the program's
	return container.Named(r.name, err)
}
