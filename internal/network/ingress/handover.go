package ingress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
)

// A process hands over to a new one, of a new version perhaps, when it gets
// SIGHUP: it starts it with its lock and its listeners, so that nobody who
// connects is refused, and goes on with what it has begun.

// The files that a successor is started with.
const (
	fdLock  = 3 + iota
	fdReady // written to when it answers
	fdHTTP  // as far as --takeover names them
	fdHTTPS
)

// handOverTimeout is how long a successor may take until it answers.
const handOverTimeout = 10 * time.Second

// inherited is what a process takes over from its predecessor.
type inherited struct {
	lock      *state.Lock
	ready     func() error
	listeners [2]net.Listener
}

// tell calls ready, if there is somebody to tell.
func (in inherited) tell() error {
	if in.ready == nil {
		return nil
	}
	return in.ready()
}

// tellSystemd says it where systemd wants to know.
func tellSystemd(words string) error {
	_, err := daemon.SdNotify(false, words)
	return err
}

// inherit takes over what the word says, which is one of handOver; "" is
// nothing.
func inherit(word string) (in inherited, err error) {
	if word == "" {
		in.ready = func() error { return tellSystemd(daemon.SdNotifyReady) }
		return in, nil
	}
	for fd := fdLock; fd <= fdHTTPS; fd++ {
		unix.CloseOnExec(fd)
	}
	in.lock = state.Inherited(os.NewFile(fdLock, "lock"))
	pipe := os.NewFile(fdReady, "ready")
	in.ready = func() error {
		if err := tellSystemd(fmt.Sprintf("MAINPID=%d\n%s", os.Getpid(), daemon.SdNotifyReady)); err != nil {
			return err
		}
		_, err := pipe.WriteString("ready")
		return errors.Join(err, pipe.Close())
	}
	next := uintptr(fdHTTP)
	for i, name := range []string{"http", "https"} {
		if !strings.Contains(","+word+",", ","+name+",") {
			continue
		}
		f := os.NewFile(next, name)
		next++
		if in.listeners[i], err = net.FileListener(f); err != nil {
			return in, fmt.Errorf("take over the port of %s: %w", name, err)
		}
		if err := f.Close(); err != nil {
			return in, err
		}
	}
	return in, nil
}

// successors are requests to hand over.
type successors struct{ asked chan os.Signal }

func requests() successors {
	s := successors{make(chan os.Signal, 1)}
	signal.Notify(s.asked, unix.SIGHUP)
	return s
}

func (s successors) stop() { signal.Stop(s.asked) }

// handOver starts a successor, and returns when it answers.
func (s *Server) handOver(o Options, lock *state.Lock) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	cmd := exec.Command(o.Program[0], o.Program[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{lock.File(), write}
	words := []string{"lock"}
	for i, l := range s.ports.listeners() {
		if l == nil {
			continue
		}
		f, err := duplicate(l)
		if err != nil {
			return errors.Join(err, write.Close())
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		words = append(words, []string{"http", "https"}[i])
	}
	cmd.Args = append(cmd.Args, "--takeover="+strings.Join(words, ","))
	if err := errors.Join(cmd.Start(), write.Close()); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // it outlives this process, unless it fails
	if err := read.SetReadDeadline(time.Now().Add(handOverTimeout)); err != nil {
		return err
	}
	if b, err := io.ReadAll(read); err != nil || string(b) != "ready" {
		return errors.Join(fmt.Errorf("the new process did not begin to answer: %w", errors.Join(err, io.ErrUnexpectedEOF)), cmd.Process.Kill())
	}
	return nil
}

// duplicate is the socket of l for a child. The File of package net would be
// made blocking for that, which is a property of the socket: this process would
// then stay in accept(2), and take a connection when it does not serve any more.
func duplicate(l *net.TCPListener) (f *os.File, err error) {
	c, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	controlled := c.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(controlled, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}
