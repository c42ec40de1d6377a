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
)

// streams are a program's standard streams, and their ends that stay on the
// host.
type streams struct {
	in, out, err *os.File // the program's ends
	terminal     bool     // they are a terminal

	toClose []*os.File     // of the program's ends, once it has them
	inputs  []func()       // copy what the program reads, once it runs
	outputs sync.WaitGroup // copies of what the program writes
	readers []*os.File
	undo    []func()
}

// connect makes the standard streams of c, which the account runs.
func (g *Guest) connect(c Command, a Account) (*streams, error) {
	s := &streams{}
	var err error
	if c.Terminal {
		err = s.openTerminal(g, c, a)
	} else {
		err = errors.Join(s.input(c.Stdin, &s.in), s.output(c.Stdout, &s.out), s.output(c.Stderr, &s.err))
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
	s.inputs = append(s.inputs, func() { _, _ = io.Copy(w, ours); w.Close() })
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

// started lets go of the program's ends, and passes its input on. A terminal
// that the guest's systemd hands to the program loses what it was sent before.
func (s *streams) started() {
	s.release()
	for _, f := range s.inputs {
		go f()
	}
}

func (s *streams) release() {
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
	s.release()
	for _, f := range s.readers {
		f.Close()
	}
	for _, f := range s.undo {
		f()
	}
}

// openTerminal gives the program a new terminal of the guest and connects it
// to the host's.
func (s *streams) openTerminal(g *Guest, c Command, a Account) error {
	master, slave, err := g.openTerminal(a.UID)
	if err != nil {
		return fmt.Errorf("open a terminal in the guest: %w", err)
	}
	s.in, s.out, s.err, s.terminal = slave, slave, slave, true
	s.toClose, s.readers = append(s.toClose, slave), append(s.readers, master)
	if fd := int(c.Stdin.Fd()); term.IsTerminal(fd) {
		old, err := term.MakeRaw(fd)
		if err != nil {
			return err
		}
		s.undo = append(s.undo, func() { _ = term.Restore(fd, old) }, followSize(fd, master))
	}
	s.inputs = append(s.inputs, func() { _, _ = io.Copy(master, c.Stdin); hangUp(master, c.Stdin) })
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
