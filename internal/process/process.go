// Package process holds on to processes that are not children of this one, so
// that a PID that has passed on to another process is never taken for them.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a pidfd; see pidfd_open(2).
type Process struct {
	PID int
	fd  *os.File
}

// Open holds on to the process that has the PID now. The error for one that
// has ended is ESRCH.
func Open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Process{pid, os.NewFile(uintptr(fd), "pidfd")}, nil
}

// OpenStarted is Open for the process that started at the time start; see
// StartTime. For any other, the error is ESRCH.
func OpenStarted(pid int, start uint64) (*Process, error) {
	p, err := Open(pid)
	if err != nil {
		return nil, err
	}
	if now, err := StartTime(pid); err != nil || now != start {
		p.Close()
		return nil, unix.ESRCH
	}
	return p, nil
}

// Close lets go of the process.
func (p *Process) Close() error { return p.fd.Close() }

// File is the pidfd.
func (p *Process) File() *os.File { return p.fd }

// Signal sends sig; that the process has ended is no error.
func (p *Process) Signal(sig unix.Signal) error {
	return p.control(func(fd uintptr) error {
		err := unix.PidfdSendSignal(int(fd), sig, nil, 0)
		if err == unix.ESRCH {
			return nil
		}
		return os.NewSyscallError("pidfd_send_signal", err)
	})
}

// Await returns nil when the process has ended, or the cause of ctx's end.
// Several may wait for the same process.
func (p *Process) Await(ctx context.Context) error {
	f, err := p.duplicate() // whose deadline is this call's alone
	if err != nil {
		return err
	}
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = conn.Read(ended)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

func (p *Process) duplicate() (f *os.File, err error) {
	err = p.control(func(fd uintptr) error {
		other, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		err = unix.SetNonblock(other, true) // a user of File may have changed it
		f = os.NewFile(uintptr(other), "pidfd")
		return os.NewSyscallError("fcntl", err)
	})
	return f, err
}

// control calls f with the descriptor. File.Fd would take the file from the
// poller.
func (p *Process) control(f func(fd uintptr) error) error {
	conn, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Control(func(fd uintptr) { inner = f(fd) })
	return errors.Join(err, inner)
}

// ended reports whether a pidfd is readable, which it is when the process has
// ended.
func ended(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0)
	return n > 0
}

// StartTime is when a process started, in clock ticks since boot: with its PID
// it names a process for good. For a zombie it is an error, as for a process
// that is gone; not where only the first of its threads has ended, as for a
// moment where another becomes a program.
func StartTime(pid int) (uint64, error) {
	f, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(f[19], 10, 64)
}

// Parent is the PID of a process's parent: 0 where this PID namespace does not
// have it. Errors are those of StartTime.
func Parent(pid int) (int, error) {
	f, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(f[1])
}

// stat are the fields of proc_pid_stat(5) from the third on, of a process that
// has not ended.
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The second field is a name in parentheses that may hold anything.
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 20 || f[0] == "Z" && f[17] == "1" { // its last thread
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	return f, nil
}

// ticksPerSecond is USER_HZ, which no Linux has otherwise.
const ticksPerSecond = 100

// Started is when a process started, by the host's clock.
func Started(pid int) (time.Time, error) {
	ticks, err := StartTime(pid)
	if err != nil {
		return time.Time{}, err
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, err
	}
	boot := time.Now().Add(-time.Duration(up.Nano()))
	return boot.Add(time.Duration(ticks) * (time.Second / ticksPerSecond)), nil
}
