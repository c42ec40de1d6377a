package namespace

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Command is a program to start inside the namespaces of another process.
type Command struct {
	Target *os.File // a pidfd of the process whose namespaces are entered
	Flags  int      // CLONE_NEW… of the namespaces to enter

	Cgroups   []*os.File // cgroup.procs or tasks files of the groups to join first
	CgroupDir *os.File   // the v2 group to start in; nil: that of the caller

	Paths []string // candidates for the program, inside; the first that exists is run
	File  *os.File // the program itself, instead of Paths
	Args  []string // with the program's name in front
	Env   []string // KEY=VALUE
	Dir   string   // working directory, inside

	UID, GID int   // inside
	Groups   []int // supplementary, inside
	// Bounding has a bit for each capability that the program may ever have.
	Bounding uint64

	// Filters are seccomp filters to install, of Filters.
	Filters [][]unix.SockFilter

	Stdin, Stdout, Stderr *os.File
	Terminal              bool // make Stdin the controlling terminal of a new session
	NewSession            bool // a new session without one
}

// StepError says which step of starting a Command failed.
type StepError struct {
	Step string
	Err  unix.Errno
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }

// Unwrap gives the system's error number.
func (e *StepError) Unwrap() error { return e.Err }

// The steps of a child, in the order of their numbers.
var stepNames = [...]string{"start", "join cgroup", "enter namespaces", "fork", "new session", "terminal", "standard streams",
	"system call filters", "capabilities", "groups", "group", "user", "working directory", "run", "connect"}

const (
	stepCgroup = iota + 1
	stepEnter
	stepFork
	stepSession
	stepTerminal
	stepStreams
	stepFilters
	stepCaps
	stepGroups
	stepGID
	stepUID
	stepDir
	stepRun
	stepConnect
)

// Start runs c. The process is a child of this one, to be waited for, and is
// killed with the thread that calls Start: lock the goroutine to its thread
// until the program has ended. An error of the child is a *StepError.
//
// Where ctx ends before the program is known to run, it is killed, and the
// error is the cause. Its end is not waited for: in a frozen control group that
// may come when it is thawed.
func (c *Command) Start(ctx context.Context) (pid int, err error) {
	s, err := c.prepare()
	if err != nil {
		return 0, err
	}
	defer runtime.KeepAlive(c)
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	s.report = int(w.Fd())
	s.setSpare()
	births, err := newBirths()
	if err != nil {
		return 0, errors.Join(err, w.Close())
	}
	s.birth = births.place()

	middle, errno := s.fork()
	runtime.KeepAlive(s)
	w.Close()
	if errno != 0 {
		return 0, errors.Join(&StepError{"start", errno}, births.close())
	}
	failure, err := readReports(ctx, r)
	if err != nil {
		births.abandon(middle)
		return 0, err
	}
	err = reap(middle)
	pid = births.pid()
	err = errors.Join(err, births.close())
	switch {
	case failure != nil && pid != 0:
		return 0, errors.Join(failure, err, reap(pid))
	case failure != nil:
		return 0, errors.Join(failure, err)
	case pid == 0:
		return 0, errors.Join(errors.New("it was killed before it ran"), err)
	}
	return pid, err
}

// report is what the children write to their pipe: the step that failed, or
// none before the program is run. Small writes to a pipe are whole.
type report struct{ step, value int32 }

// readReports returns the first failure, or nil, when both children have
// closed their ends of the pipe: one has ended, one runs the program or has
// ended too.
func readReports(ctx context.Context, r *os.File) (failure, err error) {
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		var rep report
		n, err := r.Read((*[unsafe.Sizeof(rep)]byte)(unsafe.Pointer(&rep))[:])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, context.Cause(ctx)
		case err == io.EOF:
			return failure, nil
		case err != nil:
			return nil, err
		case n == int(unsafe.Sizeof(rep)) && rep.step != 0 && failure == nil:
			failure = &StepError{stepNames[rep.step], unix.Errno(rep.value)}
		}
	}
}

// births is memory shared with the first child, in which the kernel notes the
// second one's PID before that begins to run.
type births []byte

func newBirths() (births, error) {
	b, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	return b, os.NewSyscallError("mmap", err)
}

func (b births) place() *int32 { return (*int32)(unsafe.Pointer(&b[0])) }

// pid is that of the second child, or 0 before it is born.
func (b births) pid() int { return int(atomic.LoadInt32(b.place())) }

func (b births) close() error { return os.NewSyscallError("munmap", unix.Munmap(b)) }

// abandon kills both children, and has them waited for whenever they end. The
// second may be born until the first has ended; it then finds nobody who
// reads its report, and ends by itself if this process has ended too.
func (b births) abandon(middle int) {
	kill := func(pid int) {
		if pid != 0 {
			_ = unix.Kill(pid, unix.SIGKILL) // a child that nobody has waited for yet
		}
	}
	kill(middle)
	kill(b.pid())
	go func() {
		_ = reap(middle)
		if pid := b.pid(); pid != 0 {
			kill(pid)
			_ = reap(pid)
		}
		_ = b.close()
	}()
}

// reap waits for a child that is not an os.Process.
func reap(pid int) error {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return os.NewSyscallError("wait4", err)
		}
	}
}
