package namespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PTRACE_SECCOMP_GET_FILTER and PTRACE_SECCOMP_GET_METADATA; see ptrace(2).
const (
	getFilter   = 0x420c
	getMetadata = 0x420d
)

// Bounds of what is read of a process: of a kernel, and so only against
// mistakes. systemd-nspawn installs some five filters.
const (
	maxFilters = 64
	traceLimit = 3 * time.Second
	seizeLimit = time.Second
	seizePause = 200 * time.Microsecond
)

// errTraced is what somebody who traces a guest's init keeps us from.
var errTraced = errors.New("somebody traces the guest's init, so that its system call filters cannot be read, which a program in the guest has to have")

// Filters are the seccomp filters of a process, in the order in which they were
// installed. To read them the process is stopped for some 0.05 ms. Where the
// kernel does not give them, they are none: it is built without
// CONFIG_CHECKPOINT_RESTORE, forbids to trace, or has a filter for this process
// too. That somebody else traces the process is an error, and so is that it
// does not stop: before ctx ends, or at all.
func Filters(ctx context.Context, pid int) ([][]unix.SockFilter, error) {
	f, _, err := readFilters(ctx, pid)
	return f, err
}

// PlainFilters is Filters of a process all of whose filters were installed
// without flags, as Become does: others are an error.
func PlainFilters(ctx context.Context, pid int) ([][]unix.SockFilter, error) {
	f, plain, err := readFilters(ctx, pid)
	if err == nil && !plain {
		err = fmt.Errorf("process %d has system call filters with flags", pid)
	}
	return f, err
}

func readFilters(ctx context.Context, pid int) (filters [][]unix.SockFilter, plain bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, traceLimit, fmt.Errorf("process %d does not stop, so that its system call filter could be read", pid))
	defer cancel()
	type result struct {
		filters [][]unix.SockFilter
		plain   bool
		err     error
	}
	read := make(chan result, 1)
	go func() {
		// What a thread traces is let go of when the thread ends, which it does
		// with its goroutine, as that does not unlock it.
		runtime.LockOSThread()
		f, plain, err := trace(pid)
		read <- result{f, plain, err}
	}()
	select {
	case r := <-read:
		return r.filters, r.plain, r.err
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

func trace(pid int) (filters [][]unix.SockFilter, plain bool, err error) {
	if err := seize(pid); err == errForbidden {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	if err := unix.PtraceInterrupt(pid); err != nil {
		return nil, false, os.NewSyscallError("ptrace", err)
	}
	if err := stopped(pid); err != nil {
		return nil, false, err
	}
	defer func() { _ = unix.PtraceDetach(pid) }() // it may have been killed
	plain = true
	for len(filters) < maxFilters {
		f, err := filter(pid, len(filters)) // the oldest is the first
		switch err {
		case nil:
			plain = plain && flagless(pid, len(filters))
			filters = append(filters, f)
		case unix.ENOENT, unix.EINVAL, unix.EACCES, unix.EIO:
			return filters, plain, nil
		default:
			return nil, false, os.NewSyscallError("ptrace", err)
		}
	}
	return nil, false, fmt.Errorf("process %d has more than %d filters", pid, maxFilters)
}

// errForbidden is for what nobody may trace.
var errForbidden = errors.New("tracing is forbidden")

// seize begins to trace a process. Only one at a time can: another berth is
// waited for, which needs no time.
func seize(pid int) error {
	if scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); strings.HasPrefix(string(scope), "3") {
		return errForbidden
	}
	seen := false
	for begun := time.Now(); ; time.Sleep(seizePause) {
		err := unix.PtraceSeize(pid)
		switch {
		case err == unix.EACCES: // by a security module
			return errForbidden
		case err != unix.EPERM:
			return os.NewSyscallError("ptrace", err)
		}
		seen = seen || traced(pid)
		switch waited := time.Since(begun); {
		case seen && waited > seizeLimit:
			return errTraced
		case !seen && waited > seizeLimit/10:
			return errForbidden
		}
	}
}

// stopped waits until a traced process has stopped.
func stopped(pid int) error {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("wait4", err)
		case status.Stopped():
			return nil
		default:
			return unix.ESRCH // it has ended
		}
	}
}

// filter is a filter of a stopped process.
func filter(pid, index int) ([]unix.SockFilter, error) {
	get := func(to unsafe.Pointer) (int, unix.Errno) {
		n, _, e := unix.Syscall6(unix.SYS_PTRACE, getFilter, uintptr(pid), uintptr(index), uintptr(to), 0, 0)
		return int(n), e
	}
	n, e := get(nil)
	if e != 0 {
		return nil, e
	}
	if n == 0 || n > unix.BPF_MAXINSNS {
		return nil, unix.EMSGSIZE
	}
	f := make([]unix.SockFilter, n)
	if _, e = get(unsafe.Pointer(&f[0])); e != 0 {
		return nil, e
	}
	return f, nil
}

// flagless reports whether a filter of a stopped process was installed without
// flags; not, where the kernel does not tell.
func flagless(pid, index int) bool {
	m := struct{ offset, flags uint64 }{offset: uint64(index)}
	n, _, e := unix.Syscall6(unix.SYS_PTRACE, getMetadata, uintptr(pid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)), 0, 0)
	return e == 0 && n == unsafe.Sizeof(m) && m.flags == 0
}

// traced reports whether somebody traces a process.
func traced(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(b), "\nTracerPid:\t0\n")
}
