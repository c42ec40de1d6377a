package namespace

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Dial is a connection to make to a socket inside the namespaces of another
// process, as root of these: the peer sees that user, and a PID of its own.
type Dial struct {
	Target *os.File // a pidfd of the process whose namespaces are entered
	Flags  int      // CLONE_NEW… of the namespaces to enter
	Path   string   // of the stream socket, inside
	// Farewell is sent when this process ends before Link.Close: a child
	// stays that waits for it. That child is in no PID namespace but ours, so
	// that nobody inside can see or trace it.
	Farewell []byte
}

// Link is a connection into a guest.
type Link struct {
	*net.UnixConn
	leash   *os.File // its other end is the waiting child's
	waiting int      // its PID
}

// dialLimit is how long a connection may take: a name may be looked up in a
// file system of the guest that never answers.
const dialLimit = 2 * time.Second

// farewellLimit is how long a peer may take to hear the farewell, in seconds.
const farewellLimit = 5

// Connect makes the connection. An error of the child is a *StepError.
func (d *Dial) Connect() (_ *Link, err error) {
	c := &connector{target: d.Target.Fd(), flags: uintptr(d.Flags), farewell: d.Farewell}
	if err := c.setAddress(d.Path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	socket := os.NewFile(uintptr(fd), "connection")
	defer socket.Close() // FileConn has another
	report, told, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer report.Close()
	held, leash, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, told.Close())
	}
	c.keep = [3]int{int(held.Fd()), fd, int(told.Fd())}
	pid, errno := c.fork()
	runtime.KeepAlive(d)
	told.Close()
	held.Close()
	if errno != 0 {
		return nil, errors.Join(&StepError{"start", errno}, leash.Close())
	}
	l := &Link{leash: leash, waiting: pid}
	if err := readOutcome(report); err != nil {
		return nil, errors.Join(err, l.abandon())
	}
	conn, err := net.FileConn(socket)
	if err != nil {
		return nil, errors.Join(err, l.abandon())
	}
	l.UnixConn = conn.(*net.UnixConn) // of a socket that is made here
	return l, nil
}

// Close ends the connection; with farewell it is what the farewell is for. A
// second call does nothing.
func (l *Link) Close(farewell bool) error {
	if l.waiting == 0 {
		return nil
	}
	if !farewell {
		return errors.Join(l.abandon(), l.UnixConn.Close())
	}
	pid := l.waiting
	l.waiting = 0
	err := errors.Join(l.leash.Close(), reap(pid))
	return errors.Join(err, l.UnixConn.Close())
}

// abandon ends the child before it says farewell. Nobody waits for its end,
// which takes the kernel a while.
func (l *Link) abandon() error {
	err := unix.Kill(l.waiting, unix.SIGKILL)
	pid := l.waiting
	l.waiting = 0
	go func() { _ = reap(pid) }()
	return errors.Join(err, l.leash.Close())
}

// readOutcome reads how the child's attempt ended.
func readOutcome(r *os.File) error {
	if err := r.SetReadDeadline(time.Now().Add(dialLimit)); err != nil {
		return err
	}
	var rep report
	buf := (*[unsafe.Sizeof(rep)]byte)(unsafe.Pointer(&rep))
	if n, err := r.Read(buf[:]); n != len(buf) {
		return fmt.Errorf("connect: %w", err)
	}
	if rep.step != 0 {
		return &StepError{stepNames[rep.step], unix.Errno(rep.value)}
	}
	return nil
}

// connector is a Dial in the form that the children need.
type connector struct {
	target, flags uintptr
	address       unix.RawSockaddrUnix
	farewell      []byte
	keep          [3]int // the leash, the socket, the report: then 0, 1 and 2
	scratch       [4096]byte
}

func (c *connector) setAddress(path string) error {
	if len(path) >= len(c.address.Path) {
		return fmt.Errorf("socket %s: its name is too long", path)
	}
	c.address.Family = unix.AF_UNIX
	for i := range len(path) {
		c.address.Path[i] = int8(path[i])
	}
	return nil
}

// fork starts the child that stays, and returns its PID. It enters the
// namespaces, has a child of its own connect that is in the PID namespace too,
// and waits.
//
//go:noinline
//go:norace
func (c *connector) fork() (int, unix.Errno) {
	beforeFork()
	pid, errno := rawClone(uintptr(unix.SIGCHLD))
	if errno != 0 || pid != 0 {
		afterFork()
		return int(pid), errno
	}
	afterForkInChild()
	c.settle()
	if _, _, e := unix.RawSyscall(unix.SYS_SETNS, c.target, c.flags, 0); e != 0 {
		c.fail(stepEnter, e)
	}
	pid, errno = rawClone(uintptr(unix.SIGCHLD))
	if errno != 0 {
		c.fail(stepFork, errno)
	}
	if pid == 0 {
		rawExit(int(c.connect()))
	}
	if status := rawWait(int(pid)); status != 0 {
		c.fail(stepConnect, unix.Errno(status>>8))
	}
	c.tell(0, 0)
	rawClose(2)
	c.wait()
	return 0, 0
}

// settle keeps what the child needs, away from the signals of our terminal.
//
//go:nosplit
//go:norace
func (c *connector) settle() {
	unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0)
	for i := range c.keep { // away from 0, 1 and 2, which one of them may be
		fd, _, e := unix.RawSyscall(unix.SYS_FCNTL, uintptr(c.keep[i]), unix.F_DUPFD, 3)
		if e != 0 {
			rawExit(1)
		}
		c.keep[i] = int(fd)
	}
	target, _, e := unix.RawSyscall(unix.SYS_FCNTL, c.target, unix.F_DUPFD, 3)
	if e != 0 {
		rawExit(1)
	}
	for i := range c.keep {
		unix.RawSyscall(unix.SYS_DUP3, uintptr(c.keep[i]), uintptr(i), 0)
	}
	unix.RawSyscall(unix.SYS_DUP3, target, 3, 0)
	c.target = 3
	unix.RawSyscall(unix.SYS_CLOSE_RANGE, 4, 1<<32-1, 0)
}

// connect is the grandchild: it returns an error number.
//
//go:nosplit
//go:norace
func (c *connector) connect() unix.Errno {
	rawClose(3) // the pidfd, which is for nobody inside
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0); e != 0 {
		return e
	}
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	_, _, e := unix.RawSyscall(unix.SYS_CONNECT, 1, uintptr(unsafe.Pointer(&c.address)), unsafe.Sizeof(c.address))
	return e
}

// wait says farewell when the other end of the leash is gone. The peer may just
// be writing, and would not read what is said if nobody took that: the end is
// left to the peer, but not for ever.
//
//go:nosplit
//go:norace
func (c *connector) wait() {
	var b byte
	rawClose(3)
	for rawRead(0, &b) == unix.EINTR {
	}
	limit := [4]int{0, 0, farewellLimit, 0} // struct itimerval; SIGALRM ends this process
	unix.RawSyscall(unix.SYS_SETITIMER, unix.ITIMER_REAL, uintptr(unsafe.Pointer(&limit)), 0)
	unix.RawSyscall(unix.SYS_FCNTL, 1, unix.F_SETFL, 0) // it may block now
	if len(c.farewell) > 0 {
		rawWrite(1, unsafe.Pointer(&c.farewell[0]), uintptr(len(c.farewell)))
	}
	unix.RawSyscall(unix.SYS_SHUTDOWN, 1, unix.SHUT_WR, 0)
	for {
		n, _, e := unix.RawSyscall(unix.SYS_READ, 1, uintptr(unsafe.Pointer(&c.scratch)), unsafe.Sizeof(c.scratch))
		if e != 0 || n == 0 {
			rawExit(0)
		}
	}
}

//go:nosplit
//go:norace
func (c *connector) tell(step, value int32) {
	r := report{step, value}
	rawWrite(2, unsafe.Pointer(&r), unsafe.Sizeof(r))
}

//go:nosplit
//go:norace
func (c *connector) fail(step int32, e unix.Errno) {
	c.tell(step, int32(e))
	rawExit(127)
}
