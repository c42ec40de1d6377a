package guest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
)

// Dial connects to a TCP address, of an IP address and a port, as a program in
// the guest would.
func (g *Guest) Dial(ctx context.Context, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	err = namespace.InNetwork(fmt.Sprintf("/proc/%d/ns/net", g.leader.PID), func() error {
		fd, err := connect(ctx, at)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), address)
		conn, err = net.FileConn(f)
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return nil, g.explain(err)
	}
	return conn, nil
}

// connect makes a socket in the network namespace of the calling thread, and
// waits on that thread until it is connected.
func connect(ctx context.Context, at netip.AddrPort) (fd int, err error) {
	family, address := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Unmap().Is4() {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().Unmap().As4()}
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if end, ok := ctx.Deadline(); ok { // of connect(2) too; see socket(7)
		limit := unix.NsecToTimeval(max(time.Until(end), time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
			return -1, os.NewSyscallError("setsockopt", err)
		}
	}
	switch err := unix.Connect(fd, address); err {
	case nil:
		return fd, nil
	case unix.EINPROGRESS:
		return -1, context.DeadlineExceeded
	default:
		return -1, os.NewSyscallError("connect", err)
	}
}

// Readlink is where a symbolic link of the guest leads, as it is written there.
func (g *Guest) Readlink(path string) (string, error) {
	f, err := g.open(path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", b)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(b[:n]), nil
}
