package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// Destination is a store on a host that ssh reaches, as Nix writes it:
// ssh://[USER@]HOST[:PORT], with the settings remote-program, ssh-key and
// compress.
type Destination struct {
	host     string // with the user
	port     string // may be empty
	program  string // that speaks for the store there; empty: nix-store, or else berth
	key      string // file with a key for ssh; may be empty
	compress bool
}

// ParseDestination reads what IsDestination says to be one.
func ParseDestination(text string) (d Destination, err error) {
	var settings url.Values
	u, err := url.Parse(text)
	if err == nil {
		settings, err = url.ParseQuery(u.RawQuery)
	}
	if err == nil && u.Scheme != "ssh" {
		err = fmt.Errorf("%q: stores of the kind %s are not known", text, u.Scheme)
	}
	if err == nil && (u.Hostname() == "" || u.Path != "" && u.Path != "/") {
		err = fmt.Errorf("%q does not name a host alone", text)
	}
	if err != nil {
		return d, &container.Error{Err: err, Code: container.CodeUsage, Hint: "write ssh://root@host.example.com"}
	}
	d = Destination{host: u.Hostname(), port: u.Port()}
	if user := u.User.Username(); user != "" {
		d.host = user + "@" + d.host
	}
	for key, values := range settings {
		value := values[len(values)-1]
		switch key {
		case "remote-program":
			d.program = value
		case "ssh-key":
			d.key = value
		case "compress":
			d.compress = value == "true" || value == "1"
		default:
			return d, &container.Error{Err: fmt.Errorf("%q: the setting %s is not known", text, key), Code: container.CodeUsage,
				Hint: "remote-program, ssh-key and compress are; NIX_SSHOPTS has more for ssh"}
		}
	}
	return d, nil
}

// IsDestination reports whether text names a store by ssh, in one of the ways
// that Nix has.
func IsDestination(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && strings.HasPrefix(scheme, "ssh")
}

func (d Destination) String() string { return "ssh://" + d.host }

// either is what speaks for a store where nobody has said it: it has to work in
// any login shell.
const either = `sh -c 'if command -v nix-store >/dev/null 2>&1; then exec nix-store --serve --write; fi; exec berth nix serve --write'`

// arguments are those of ssh; options are its own, of NIX_SSHOPTS.
func (d Destination) arguments(options string) []string {
	args := append([]string{"-x", "-a", "-T"}, strings.Fields(options)...)
	if d.port != "" {
		args = append(args, "-p", d.port)
	}
	if d.key != "" {
		args = append(args, "-i", d.key)
	}
	if d.compress {
		args = append(args, "-C")
	}
	command := either
	if d.program != "" {
		command = d.program + " --serve --write"
	}
	return append(args, "--", d.host, command)
}

// Session is a connection to a Destination.
type Session struct {
	*Client
	to     Destination
	ctx    context.Context
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	stderr *lastWords
}

// patience is how long ssh may take to end.
const patience = 10 * time.Second

// Connect runs ssh. Errors have a hint.
func Connect(ctx context.Context, to Destination) (*Session, error) {
	s := &Session{to: to, ctx: ctx, stderr: &lastWords{}}
	s.cmd = exec.CommandContext(ctx, "ssh", to.arguments(os.Getenv("NIX_SSHOPTS"))...)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	s.cmd.WaitDelay = patience
	s.cmd.Stderr = s.stderr
	var err, outErr error
	s.in, err = s.cmd.StdinPipe()
	s.out, outErr = s.cmd.StdoutPipe()
	if err = errors.Join(err, outErr); err == nil {
		err = s.cmd.Start()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, &container.Error{Subject: to.String(), Err: err, Hint: "install OpenSSH's client"}
	} else if err != nil {
		return nil, err
	}
	if s.Client, err = NewClient(s.out, s.in); err != nil {
		return nil, s.Close(err)
	}
	return s, nil
}

// Close ends the connection, after what went wrong with it, if something has.
// The other end has all that it was sent, on its disk, only where the result is
// nil.
func (s *Session) Close(failure error) error {
	err := s.in.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if failure != nil { // it may have more to say
		defer time.AfterFunc(patience, func() { _ = s.cmd.Process.Signal(os.Interrupt) }).Stop()
	}
	_, _ = io.Copy(io.Discard, s.out)
	ended := s.cmd.Wait()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if failure == nil && err == nil && ended == nil {
		return nil
	}
	return s.explain(errors.Join(failure, err), ended)
}

// explain makes an error of what went wrong here, how ssh ended, and what it
// said.
func (s *Session) explain(failure, ended error) error {
	e := &container.Error{Op: "push", Subject: s.to.String(), Hint: "the host needs nix-store or berth in the PATH of commands that ssh runs, or ?remote-program=; what has arrived is not sent again"}
	said := s.stderr.text()
	var exit *exec.ExitError
	if errors.As(ended, &exit) && exit.ExitCode() == 255 {
		e.Hint = "check that ssh " + s.to.host + " true works"
	}
	switch {
	case said != "" && ended != nil && broken(failure):
		e.Err = errors.New(said)
	case failure != nil:
		e.Err = failure
	default:
		e.Err = fmt.Errorf("ssh: %w", ended)
	}
	return e
}

// broken reports whether an error is that the other end has gone.
func broken(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE)
}

// lastWords keeps the end of what is written to it.
type lastWords struct{ b []byte }

const mostWords = 4 << 10 // bytes

func (l *lastWords) Write(b []byte) (int, error) {
	l.b = append(l.b, b...)
	l.b = l.b[max(0, len(l.b)-mostWords):]
	return len(b), nil
}

// text is fit to be shown: each line by itself.
func (l *lastWords) text() string {
	var out []string
	for line := range strings.Lines(string(l.b)) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, plain.Text(line))
		}
	}
	return strings.Join(out, "; ")
}
