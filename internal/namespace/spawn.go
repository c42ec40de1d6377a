package namespace

import (
	"errors"
	"os"
	"runtime"
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
func (c *Command) Start() (pid int, err error) {
	s, err := c.prepare()
	if err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	s.report = int(w.Fd())

	middle, errno := s.fork()
	runtime.KeepAlive(c)
	runtime.KeepAlive(s)
	w.Close()
	if errno != 0 {
		return 0, &StepError{"start", errno}
	}
	if _, err := unix.Wait4(middle, nil, 0, nil); err != nil {
		return 0, err
	}
	return readReport(r)
}

// report is what the children write to their pipe: the second child's PID, or
// the step that failed. Small writes to a pipe are whole.
type report struct{ step, value int32 }

func readReport(r *os.File) (pid int, err error) {
	var buf [2 * unsafe.Sizeof(report{})]byte
	n := 0
	for n < len(buf) {
		k, err := r.Read(buf[n:])
		if n += k; err != nil {
			break
		}
	}
	for i := 0; i+8 <= n; i += 8 {
		rep := (*report)(unsafe.Pointer(&buf[i]))
		if rep.step == 0 {
			pid = int(rep.value)
		} else {
			err = &StepError{stepNames[rep.step], unix.Errno(rep.value)}
		}
	}
	switch {
	case err != nil && pid != 0:
		_, waitErr := unix.Wait4(pid, nil, 0, nil)
		return 0, errors.Join(err, waitErr)
	case err == nil && pid == 0:
		return 0, errors.New("it was killed before it ran")
	}
	return pid, err
}
