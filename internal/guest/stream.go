package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/berth-containers/berth/internal/namespace"
)

// streams are the ends of a program's standard streams that stay on the host.
type streams struct {
	toClose []*os.File     // the program's ends, once it has them
	outputs sync.WaitGroup // copies of what the program writes
	readers []*os.File
	undo    []func()
}

// connect gives inner its standard streams.
func (g *Guest) connect(c Command, inner *namespace.Command) (*streams, error) {
	s := &streams{}
	var err error
	if c.Terminal {
		err = s.terminal(g, c, inner)
	} else {
		err = errors.Join(s.input(c.Stdin, &inner.Stdin), s.output(c.Stdout, &inner.Stdout), s.output(c.Stderr, &inner.Stderr))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// input makes theirs what the program reads. A guest that held a terminal of
// the host could type on it.
func (s *streams) input(ours *os.File, theirs **os.File) error {
	if !term.IsTerminal(int(ours.Fd())) {
		*theirs = ours
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	*theirs, s.toClose = r, append(s.toClose, r)
	go func() { _, _ = io.Copy(w, ours); w.Close() }()
	return nil
}

// output makes theirs what the program writes to.
func (s *streams) output(ours *os.File, theirs **os.File) error {
	if !term.IsTerminal(int(ours.Fd())) {
		*theirs = ours
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	*theirs, s.toClose, s.readers = w, append(s.toClose, w), append(s.readers, r)
	s.outputs.Go(func() { _, _ = io.Copy(ours, r) })
	return nil
}

// started lets go of the program's ends.
func (s *streams) started() {
	for _, f := range s.toClose {
		f.Close()
	}
	s.toClose = nil
}

// grace is how long output is waited for that a program left behind: another
// that it started may hold the stream open for ever.
const grace = 100 * time.Millisecond

// drain passes on what the ended program has written.
func (s *streams) drain() {
	for _, r := range s.readers {
		_ = r.SetReadDeadline(time.Now().Add(grace))
	}
	s.outputs.Wait()
}

func (s *streams) close() {
	s.started()
	for _, f := range s.readers {
		f.Close()
	}
	for _, f := range s.undo {
		f()
	}
}

// terminal gives the program a new terminal of the guest and connects it to
// the host's.
func (s *streams) terminal(g *Guest, c Command, inner *namespace.Command) error {
	master, slave, err := g.openTerminal(inner.UID)
	if err != nil {
		return fmt.Errorf("open a terminal in the guest: %w", err)
	}
	inner.Stdin, inner.Stdout, inner.Stderr, inner.Terminal = slave, slave, slave, true
	s.toClose, s.readers = append(s.toClose, slave), append(s.readers, master)
	if fd := int(c.Stdin.Fd()); term.IsTerminal(fd) {
		old, err := term.MakeRaw(fd)
		if err != nil {
			return err
		}
		s.undo = append(s.undo, func() { _ = term.Restore(fd, old) }, followSize(fd, master))
	}
	go func() { _, _ = io.Copy(master, c.Stdin); hangUp(master, c.Stdin) }()
	s.outputs.Go(func() { _, _ = io.Copy(c.Stdout, master) }) // ends with EIO when the last user of the terminal does
	return nil
}

// hangUp tells a program on the terminal that input, which was no terminal,
// has ended: with the character that means so.
func hangUp(master, input *os.File) {
	if !term.IsTerminal(int(input.Fd())) {
		_, _ = master.Write([]byte{4})
	}
}

// followSize makes the guest's terminal as large as the host's is, and
// becomes.
func followSize(fd int, master *os.File) (stop func()) {
	resize := func() {
		if ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			_ = control(master, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, ws) })
		}
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	resize()
	go func() {
		for range changed {
			resize()
		}
	}()
	return func() { signal.Stop(changed); close(changed) }
}
