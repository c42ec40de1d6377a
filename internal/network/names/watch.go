package names

import (
	"context"
	"errors"
	"os"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// watchLeases sends a word to changed whenever a lease comes, changes or goes in
// the directory, until ctx ends. It has begun when it returns.
func watchLeases(ctx context.Context, dir string, changed chan<- struct{}) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	if err := w.Add(dir); err != nil {
		return errors.Join(err, w.Close())
	}
	go func() {
		defer w.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.Events:
			case <-w.Errors: // such as events that were lost
			}
			tell(changed)
		}
	}()
	return nil
}

// watchLinks does the same for interfaces of the host that come and go; see
// rtnetlink(7).
func watchLinks(ctx context.Context, changed chan<- struct{}) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
	}
	f := os.NewFile(uintptr(fd), "netlink")
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer stop()
		buffer := make([]byte, 1<<14)
		for {
			// What it says does not matter; a message that is lost is an error
			// that says so.
			if _, err := f.Read(buffer); errors.Is(err, os.ErrClosed) {
				return
			}
			tell(changed)
		}
	}()
	return nil
}

// tell leaves a word for a reader that has none yet.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
