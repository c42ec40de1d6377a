package namespace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Become makes this process the program at path, below filters of Filters, of
// which it has none yet. It needs CAP_SYS_ADMIN, since the program may gain
// privileges. It returns only with an error: the thread may have some of the
// filters then, and its goroutine stays on it.
func Become(path string, args, env []string, filters [][]unix.SockFilter) error {
	runtime.LockOSThread() // of all threads this one goes on as the program
	for i, f := range filters {
		prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
		_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
		if e != 0 {
			return fmt.Errorf("install system call filter %d of %d: %w", i+1, len(filters), e)
		}
	}
	return fmt.Errorf("start %s: %w", path, unix.Exec(path, args, env))
}

// Filtered reports whether this thread has a seccomp filter.
func Filtered() (bool, error) {
	mode, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_SECCOMP, 0, 0)
	if e == unix.EINVAL { // a kernel without
		return false, nil
	} else if e != 0 {
		return false, os.NewSyscallError("prctl", e)
	}
	return mode != 0, nil
}

// instruction is the size of one in bytes, as the kernel has it.
const instruction = 8

// AppendFilters puts filters behind b: for each the number of its instructions,
// and these, in little-endian order.
func AppendFilters(b []byte, filters [][]unix.SockFilter) []byte {
	for _, f := range filters {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f)))
		for _, i := range f {
			b = binary.LittleEndian.AppendUint16(b, i.Code)
			b = append(b, i.Jt, i.Jf)
			b = binary.LittleEndian.AppendUint32(b, i.K)
		}
	}
	return b
}

// ParseFilters are the filters that AppendFilters has written.
func ParseFilters(b []byte) ([][]unix.SockFilter, error) {
	var out [][]unix.SockFilter
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errShort
		}
		n := int(binary.LittleEndian.Uint32(b))
		if b = b[4:]; n == 0 || n > unix.BPF_MAXINSNS || n*instruction > len(b) {
			return nil, errShort
		}
		f := make([]unix.SockFilter, n)
		for i := range f {
			f[i] = unix.SockFilter{Code: binary.LittleEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.LittleEndian.Uint32(b[4:])}
			b = b[instruction:]
		}
		out = append(out, f)
	}
	return out, nil
}

var errShort = errors.New("this is not a list of system call filters")
