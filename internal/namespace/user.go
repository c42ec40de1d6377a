package namespace

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Extent maps the numbers Inside to Inside+Count-1 of a user namespace to
// Outside and up.
type Extent struct{ Inside, Outside, Count uint32 }

// NewUser returns a user namespace with the same map for users and groups. It
// lives as long as the file or a mount that was mapped with it.
func NewUser(extents ...Extent) (_ *os.File, err error) {
	gate, held, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	defer held.Close()

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, errno := forkWaiter(int(gate.Fd()), int(held.Fd()))
	if errno != 0 {
		return nil, fmt.Errorf("new user namespace: %w", errno)
	}
	defer func() {
		killErr := unix.Kill(pid, unix.SIGKILL)
		_, waitErr := unix.Wait4(pid, nil, 0, nil)
		err = errors.Join(err, killErr, waitErr)
	}()
	var lines []byte
	for _, e := range extents {
		lines = fmt.Appendf(lines, "%d %d %d\n", e.Inside, e.Outside, e.Count)
	}
	for _, m := range []string{"uid_map", "gid_map"} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, m), lines, 0); err != nil {
			return nil, fmt.Errorf("new user namespace: %w", err)
		}
	}
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
}

// forkWaiter starts a process in a new user namespace that ends when it is
// killed, or with this process: when the write end of the pipe is closed.
//
//go:noinline
//go:norace
func forkWaiter(read, write int) (int, unix.Errno) {
	var b byte
	beforeFork()
	pid, errno := rawClone(unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD))
	if errno != 0 || pid != 0 {
		afterFork()
		return int(pid), errno
	}
	rawClose(write)
	for rawRead(read, &b) == unix.EINTR {
	}
	rawExit(0)
	return 0, 0
}
