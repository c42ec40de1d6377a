package preinit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Gate is where the first process of a guest asks, seen from the host.
type Gate struct {
	listener *net.UnixListener
	// Meet, if it is set before Serve, is called with the PID of the guest's first
	// process while that waits.
	Meet func(pid int)
}

// ErrClosed says that nobody came to a gate before it was closed.
var ErrClosed = errors.New("the guest ended before it asked for its network")

// Listen opens a gate in the directory dir, which the guest sees as Dir. Only
// it and the host's root can reach that. owner is the guest's root.
func Listen(dir string, owner int) (_ *Gate, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	// The whole path may be too long for a socket.
	name := fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), Socket)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the gate of the guest's network: %w", err)
	}
	l.SetUnlinkOnClose(false) // the name ends with the guest's mounts
	if err := os.Chown(dir+"/"+Socket, owner, owner); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Gate{listener: l}, nil
}

// Inherited is a gate that this process was started with as f, the File of a
// gate of its parent.
func Inherited(f *os.File) (*Gate, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is not a socket of this machine", f.Name()), l.Close())
	}
	return &Gate{listener: u}, f.Close()
}

// File carries the gate to another process.
func (g *Gate) File() (*os.File, error) { return g.listener.File() }

// Close closes the gate. Who waits there hears ErrClosed.
func (g *Gate) Close() error { return g.listener.Close() }

// Serve waits for the guest's first process, and calls attach with its network
// namespace. It returns when the guest's init runs, or why it does not: tell is
// called with that first, while the guest still waits.
func (g *Gate) Serve(attach func(netns *os.File) (Settings, error), tell func(error)) (err error) {
	conn, err := g.listener.AcceptUnix()
	if errors.Is(err, net.ErrClosed) {
		return ErrClosed
	} else if err != nil {
		return err
	}
	defer conn.Close()
	settings, failure := g.serve(conn, attach)
	if failure != nil {
		settings = Settings{Error: failure.Error()}
		tell(failure)
	}
	answer, err := json.Marshal(settings)
	if err != nil {
		return errors.Join(failure, err)
	}
	if _, err := conn.Write(append(answer, '\n')); err != nil {
		return errors.Join(failure, fmt.Errorf("answer the guest: %w", err))
	}
	if failure != nil {
		return failure
	}
	// The connection ends when the process becomes another program. If it
	// cannot, it says why, and waits until this end hangs up.
	words, _ := bufio.NewReader(io.LimitReader(conn, 1<<12)).ReadString('\n')
	if words == "" {
		return nil
	}
	failure = errors.New(strings.TrimSpace(words))
	tell(failure)
	return failure
}

func (g *Gate) serve(conn *net.UnixConn, attach func(netns *os.File) (Settings, error)) (Settings, error) {
	netns, pid, err := namespaceOf(conn)
	if err != nil {
		return Settings{}, fmt.Errorf("find the guest's network: %w", err)
	}
	defer netns.Close()
	if g.Meet != nil {
		g.Meet(pid)
	}
	return attach(netns)
}

// namespaceOf opens the network namespace of the process at the other end, and
// has its PID. The process waits for an answer: while it has not hung up its PID is its own.
func namespaceOf(conn *net.UnixConn) (netns *os.File, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, 0, err
	}
	var peer *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { peer, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, 0, err
	}
	if credErr != nil {
		return nil, 0, credErr
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", peer.Pid))
	if err != nil {
		return nil, 0, err
	}
	poll := []unix.PollFd{{Events: unix.POLLIN}}
	var pollErr error
	if err := raw.Control(func(fd uintptr) {
		poll[0].Fd = int32(fd)
		_, pollErr = unix.Poll(poll, 0)
	}); err != nil || pollErr != nil {
		return nil, 0, errors.Join(err, pollErr, f.Close())
	}
	if poll[0].Revents != 0 {
		return nil, 0, errors.Join(errors.New("the guest's first process has ended"), f.Close())
	}
	return f, int(peer.Pid), nil
}
