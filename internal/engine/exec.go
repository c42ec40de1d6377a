package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/plain"
	"github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/unit"
)

// Exec runs a program in a running guest; see guest.Guest.Exec.
func (e *Engine) Exec(ctx context.Context, n container.Name, c guest.Command) (int, error) {
	if c.Way != guest.Direct { // which gets in whatever is wrong
		e.tryMend(ctx, n)
	}
	obs, err := e.locate(n)
	if err != nil {
		return guest.CodeFailed, err
	}
	if obs.State == container.Paused {
		return guest.CodeFailed, pausedError(n)
	}
	if obs.Leader == 0 {
		if _, err := e.Record(n); err != nil {
			return guest.CodeFailed, err
		}
		return guest.CodeFailed, &container.Error{Subject: string(n), Err: fmt.Errorf("%w (%s)", container.ErrNotRunning, obs.State),
			Hint: fmt.Sprintf("berth start %s starts it", n)}
	}
	g, err := e.enter(ctx, obs)
	if err != nil {
		return guest.CodeFailed, err
	}
	defer g.Close()
	g.KeepFilters(filepath.Join(e.Paths.Run(n), "filters"))
	c.Way = e.way(c.Way)
	if e.usesDaemon(n) {
		c.Env = append([]string{"NIX_REMOTE=daemon"}, c.Env...)
	}
	code, err := g.Exec(ctx, c)
	switch {
	case errors.Is(err, guest.ErrFrozen): // meanwhile
		err = pausedError(n)
	case errors.Is(err, unit.ErrNotRun):
		err = &container.Error{Subject: string(n), Err: err, Hint: "--via direct enters the guest without its systemd"}
	}
	return code, err
}

// rootPatience is how long a guest may take to get from its init's beginning to
// a root of its own.
const rootPatience = 5 * time.Second

// enter holds on to a guest, as soon as it has a root of its own: one that does
// not say READY=1 runs before it has.
func (e *Engine) enter(ctx context.Context, obs supervise.Observation) (*guest.Guest, error) {
	ctx, cancel := context.WithTimeout(ctx, rootPatience)
	defer cancel()
	for {
		g, err := guest.Open(obs.Leader, obs.Started, e.cgroups)
		if !errors.Is(err, guest.ErrNoRoot) {
			return g, err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func pausedError(n container.Name) error {
	return &container.Error{Subject: string(n), Err: errors.New("it is paused"), Hint: fmt.Sprintf("berth resume %s lets it go on", n)}
}

// listenGrace is how long what a program in a guest has written may take to
// arrive after its end.
const listenGrace = 100 * time.Millisecond

// listen calls f with a pipe for a program in a guest to write to, and returns
// the first limit bytes of it. Another program of the guest may hold the pipe
// open for ever, and so does one that was killed in a frozen guest.
func listen(limit int64, f func(*os.File)) ([]byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	heard := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, limit))
		heard <- b
		_, _ = io.Copy(io.Discard, r)
	}()
	f(w)
	err = errors.Join(w.Close(), r.SetReadDeadline(time.Now().Add(listenGrace)))
	return <-heard, err
}

// runSelf runs this program in a guest, with c's arguments, way and files, of
// which some may be missing. What it writes to its error stream is the error where
// it fails; where it writes nothing, what says whose end it is.
func (e *Engine) runSelf(ctx context.Context, n container.Name, what string, c guest.Command) error {
	self, err := guest.Self()
	if err != nil {
		return err
	}
	defer self.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	c.File, c.Args, c.Dir = self, append([]string{"berth"}, c.Args...), "/"
	c.Env = append(c.Env, "TZ=UTC") // or it would read the guest's /etc/localtime, which may be a pipe
	c.Stdin, c.Stdout = cmp.Or(c.Stdin, null), cmp.Or(c.Stdout, null)
	code := 0
	said, listenErr := listen(4096, func(w *os.File) {
		c.Stderr = w
		code, err = e.Exec(ctx, n, c)
	})
	text := plain.Text(strings.TrimPrefix(strings.TrimSpace(string(said)), "berth: "))
	switch err = errors.Join(err, listenErr); {
	case err != nil:
		return err
	case code != 0 && text != "":
		return errors.New(text)
	case code != 0:
		return fmt.Errorf("%s in the guest ended with %d", what, code)
	}
	return nil
}

// locate looks for the guest of a container.
func (e *Engine) locate(n container.Name) (supervise.Observation, error) {
	if l, ok := e.supervisor.(supervise.Locator); ok {
		if o, ok := l.Locate(n); ok {
			return o, nil
		}
	}
	return e.supervisor.Observe(n)
}

// way is how a program gets into a guest: as it is asked for, and otherwise as
// the supervisor has it.
func (e *Engine) way(asked guest.Way) guest.Way {
	if _, ok := e.supervisor.(supervise.Native); asked != guest.Either || ok {
		return asked
	}
	return guest.Direct
}
