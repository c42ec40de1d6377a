package names

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/network/hosts"
)

// watchLeases sends a word to changed whenever a lease comes, changes or goes in
// the directory, until ctx ends. It has begun when it returns.
func watchLeases(ctx context.Context, dir string, changed chan<- struct{}) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return watchDir(ctx, dir, func(fsnotify.Event) bool { return true }, changed)
}

// watchHosts does the same when somebody has written the file anew without the
// lines of berth, as NixOS does whenever it is switched.
func watchHosts(ctx context.Context, file hosts.File, changed chan<- struct{}) error {
	return watchDir(ctx, filepath.Dir(file.Path), func(e fsnotify.Event) bool {
		return filepath.Base(e.Name) == filepath.Base(file.Path) && !file.Has()
	}, changed)
}

// watchDir does the same for what matters of a directory.
func watchDir(ctx context.Context, dir string, matters func(fsnotify.Event) bool, changed chan<- struct{}) error {
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
			case e := <-w.Events:
				if !matters(e) {
					continue
				}
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
	return watchKernel(ctx, unix.NETLINK_ROUTE, unix.RTMGRP_LINK, func(uint16) bool { return true }, changed)
}

// watchRules does the same for tables and rules of nftables that are taken away:
// berth itself takes rules away with their tables only.
func watchRules(ctx context.Context, changed chan<- struct{}) error {
	const table, rule = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELTABLE, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELRULE
	return watchKernel(ctx, unix.NETLINK_NETFILTER, 1<<(unix.NFNLGRP_NFTABLES-1), func(kind uint16) bool { return kind == table || kind == rule }, changed)
}

// watchForwarding does the same for interfaces that begin or cease to forward,
// among other settings of them; see rtnetlink(7).
func watchForwarding(ctx context.Context, changed chan<- struct{}) error {
	const groups = 1<<(unix.RTNLGRP_IPV4_NETCONF-1) | 1<<(unix.RTNLGRP_IPV6_NETCONF-1)
	return watchKernel(ctx, unix.NETLINK_ROUTE, groups, func(uint16) bool { return true }, changed)
}

// watchKernel sends a word to changed for messages of those kinds to groups of
// netlink(7).
func watchKernel(ctx context.Context, protocol int, groups uint32, matters func(kind uint16) bool, changed chan<- struct{}) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
	}
	f := os.NewFile(uintptr(fd), "netlink")
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer stop()
		buffer := make([]byte, 1<<14)
		for {
			// What else it says does not matter; a message that is lost is an error
			// that says so.
			n, err := f.Read(buffer)
			if errors.Is(err, os.ErrClosed) {
				return
			}
			if err != nil || slices.ContainsFunc(kinds(buffer[:n]), matters) {
				tell(changed)
			}
		}
	}()
	return nil
}

// kinds are those of the messages that the kernel sent at once; see nlmsghdr in
// netlink(7).
func kinds(b []byte) []uint16 {
	var out []uint16
	for len(b) >= unix.NLMSG_HDRLEN {
		length := (int(binary.NativeEndian.Uint32(b)) + 3) &^ 3
		out = append(out, binary.NativeEndian.Uint16(b[4:]))
		b = b[min(len(b), max(length, unix.NLMSG_HDRLEN)):]
	}
	return out
}

// tell leaves a word for a reader that has none yet.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
