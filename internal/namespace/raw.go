package namespace

import (
	"unsafe" // for system calls in a forked child, and for go:linkname

	"golang.org/x/sys/unix"
)

// What follows runs in a child of a multi-threaded process before exec: it may
// not allocate, lock, or grow the stack, as in syscall.forkAndExecInChild.

// These are the runtime's own hooks around fork; they are kept for packages
// such as this one (see the comments in runtime/proc.go).

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

//go:nosplit
//go:norace
func rawClone(flags uintptr) (uintptr, unix.Errno) { return rawCloneNoted(flags, nil) }

// rawCloneNoted has the kernel note the child's PID before that begins, with
// CLONE_PARENT_SETTID.
//
//go:nosplit
//go:norace
func rawCloneNoted(flags uintptr, pid *int32) (uintptr, unix.Errno) {
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags, 0, uintptr(unsafe.Pointer(pid)), 0, 0, 0)
	return child, errno
}

// cloneArgs is struct clone_args of clone3(2), up to Linux 5.7.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

//go:nosplit
//go:norace
func rawClone3(a *cloneArgs) (uintptr, unix.Errno) {
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a), 0)
	return pid, errno
}

//go:nosplit
//go:norace
func rawClose(fd int) {
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

//go:nosplit
//go:norace
func rawRead(fd int, b *byte) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(b)), 1)
	return errno
}

//go:nosplit
//go:norace
func rawExit(code int) {
	for {
		unix.RawSyscall(unix.SYS_EXIT, uintptr(code), 0, 0)
	}
}

//go:nosplit
//go:norace
func rawWrite(fd int, p unsafe.Pointer, n uintptr) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(p), n)
	return errno
}

// rawWait waits for a child, and returns its status as wait4(2) has it.
//
//go:nosplit
//go:norace
func rawWait(pid int) int32 {
	var status int32
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
		if errno != unix.EINTR {
			return status
		}
	}
}
