// Package link makes, moves and removes network interfaces through netlink.
// It does what it is told, in the network namespace that it is told, and knows
// nothing of containers.
package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrNotFound says that an interface is not there.
var ErrNotFound = errors.New("there is no such network interface")

// ErrTaken says that a name is that of an interface of somebody else.
var ErrTaken = errors.New("another network interface has this name")

// Namespace is a network namespace, with a netlink socket in it.
type Namespace struct {
	handle *netlink.Handle
	file   *os.File
}

// Own opens the network namespace of this process.
func Own() (*Namespace, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	n, err := In(f)
	return n, errors.Join(err, f.Close())
}

// In opens the network namespace that f is, such as /proc/PID/ns/net or what
// it is mounted on.
func In(f *os.File) (*Namespace, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	own := os.NewFile(uintptr(fd), f.Name())
	handle, err := netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink in %s: %w", f.Name(), err), own.Close())
	}
	return &Namespace{handle, own}, nil
}

// Close gives n back.
func (n *Namespace) Close() error {
	n.handle.Close()
	return n.file.Close()
}

// Same reports whether n and m are one namespace.
func (n *Namespace) Same(m *Namespace) bool {
	a, err1 := n.file.Stat()
	b, err2 := m.file.Stat()
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// find is the interface of a name, or of an alternative name. Where there is
// none the error matches ErrNotFound.
func (n *Namespace) find(name string) (netlink.Link, error) {
	l, err := n.handle.LinkByName(name)
	if missing, ok := errors.AsType[netlink.LinkNotFoundError](err); ok {
		return nil, fmt.Errorf("%s: %w (%v)", name, ErrNotFound, missing)
	} else if err != nil {
		return nil, fmt.Errorf("look for %s: %w", name, err)
	}
	return l, nil
}

// setting is one value in /proc/sys/net.
type setting struct{ path, value string }

// ipv6 are settings in net/ipv6/conf of one interface, as pairs of a name and
// a value.
func ipv6(name string, pairs ...string) []setting {
	var out []setting
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, setting{filepath.Join("ipv6/conf", name, pairs[i]), pairs[i+1]})
	}
	return out
}

// write changes settings in n. Those that this kernel lacks are left out, as
// all of IPv6 may be.
func (n *Namespace) write(settings ...setting) error {
	return n.enter(func() error {
		for _, s := range settings {
			err := os.WriteFile(filepath.Join("/proc/sys/net", s.path), []byte(s.value), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// enter calls f on a thread in n: /proc/sys/net is that of the thread.
func (n *Namespace) enter(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		before, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			result <- err
			return
		}
		defer before.Close()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("enter %s: %w", n.file.Name(), err)
			return
		}
		err = f()
		if back := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread() // otherwise the thread ends with this function
		}
		result <- err
	}()
	return <-result
}
