package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/transfer"
)

// Place is a path on the host, or in a running guest.
type Place struct {
	Container container.Name // empty: the host
	Path      string         // in a guest absolute
}

func (p Place) String() string {
	if p.Container == "" {
		return p.Path
	}
	return string(p.Container) + ":" + p.Path
}

// Copy copies a file or a tree from one place to another.
func (e *Engine) Copy(ctx context.Context, from, to Place, o transfer.Options) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	// Once ctx has ended, who is left in a frozen guest keeps nobody waiting.
	stop := context.AfterFunc(ctx, func() { _ = errors.Join(r.SetReadDeadline(time.Unix(1, 0)), w.SetWriteDeadline(time.Unix(1, 0))) })
	defer stop()
	o.Unprivileged = from.Container != "" && to.Container == ""
	m := &meter{events: e.Events, subject: from.String()}
	sent := make(chan error, 1)
	go func() {
		sent <- e.send(ctx, from, to, w, o, m)
		w.Close() // after it is known how it went
	}()
	received := e.receive(ctx, from, to, r, o, m)
	first := len(sent) > 0 // as long as r is open, sending fails by itself only
	r.Close()
	err = <-sent
	m.end()
	switch {
	case errors.Is(errors.Join(err, received), os.ErrDeadlineExceeded):
		return fmt.Errorf("copy %s: %w", from, context.Cause(ctx))
	case err != nil && (first || received == nil):
		return fmt.Errorf("read %s: %w", from, err) // what arrived follows from it
	case received != nil:
		return fmt.Errorf("write %s: %w", to, received)
	}
	return nil
}

// send writes what is at from to w. What passes is counted by the end that is
// on the host, and by this one where both are in guests.
func (e *Engine) send(ctx context.Context, from, to Place, w *os.File, o transfer.Options, m *meter) error {
	if from.Container == "" {
		return transfer.Send(ctx, io.MultiWriter(w, m), from.Path, o)
	}
	pack := func(w *os.File) error { return e.inside(ctx, from, []string{"pack", from.Path}, o, nil, w) }
	if to.Container == "" {
		return pack(w)
	}
	return m.between(ctx, w, pack)
}

func (e *Engine) receive(ctx context.Context, from, to Place, r *os.File, o transfer.Options, m *meter) error {
	name := filepath.Base(filepath.Clean(from.Path))
	switch {
	case to.Container != "":
		return e.inside(ctx, to, []string{"unpack", to.Path, name}, o, r, nil)
	case from.Container != "":
		return transfer.Receive(ctx, io.TeeReader(r, m), to.Path, name, o)
	}
	return transfer.Receive(ctx, r, to.Path, name, o)
}

// inside runs this program in a guest, as the guest's root: the kernel then
// keeps every path where it belongs.
func (e *Engine) inside(ctx context.Context, p Place, args []string, o transfer.Options, in, out *os.File) error {
	if o.KeepOwners {
		args = append(args, "--archive")
	}
	return e.runSelf(ctx, p.Container, "the copy", guest.Command{Args: args, Stdin: in, Stdout: out})
}
