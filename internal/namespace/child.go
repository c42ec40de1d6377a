package namespace

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spawn is a Command in the form that the children need: C strings and
// arrays, made before fork.
type spawn struct {
	target, flags  uintptr
	cgroups        []uintptr
	clone          cloneArgs
	zero           *byte // "0", which for cgroup.procs is the writer
	paths          []*byte
	file           uintptr // with hasFile
	hasFile        bool
	empty          *byte
	argv, envv     []*byte
	dir            *byte
	uid, gid       uintptr
	groups         []uint32
	drop           []uintptr // capabilities to take away
	filters        []unix.SockFprog
	stdio          [3]int
	terminal, sess bool
	report         int
	spare          [][2]uintptr // ranges of files, both ends included, that neither child needs
	birth          *int32       // where the second child's PID is noted, shared by the first
}

func (c *Command) prepare() (*spawn, error) {
	s := &spawn{
		target: c.Target.Fd(), flags: uintptr(c.Flags), uid: uintptr(c.UID), gid: uintptr(c.GID),
		terminal: c.Terminal, sess: c.NewSession || c.Terminal,
		empty: new(byte), zero: new(byte('0')),
	}
	for _, f := range c.Cgroups {
		s.cgroups = append(s.cgroups, f.Fd())
	}
	s.clone.exitSignal = uint64(unix.SIGCHLD)
	if c.CgroupDir != nil {
		s.clone.flags, s.clone.cgroup = unix.CLONE_INTO_CGROUP, uint64(c.CgroupDir.Fd())
	}
	if c.File != nil {
		s.file, s.hasFile = c.File.Fd(), true
	}
	for i, f := range [...]interface{ Fd() uintptr }{c.Stdin, c.Stdout, c.Stderr} {
		s.stdio[i] = int(f.Fd())
	}
	for _, g := range c.Groups {
		s.groups = append(s.groups, uint32(g))
	}
	for bit := uintptr(0); bit < 64; bit++ {
		if c.Bounding&(1<<bit) == 0 {
			s.drop = append(s.drop, bit)
		}
	}
	for _, f := range c.Filters {
		s.filters = append(s.filters, unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]})
	}
	var err error
	if s.dir, err = unix.BytePtrFromString(c.Dir); err != nil {
		return nil, err
	}
	for _, l := range []struct {
		to   *[]*byte
		from []string
		end  bool
	}{{&s.paths, c.Paths, false}, {&s.argv, c.Args, true}, {&s.envv, c.Env, true}} {
		for _, v := range l.from {
			p, err := unix.BytePtrFromString(v)
			if err != nil {
				return nil, err
			}
			*l.to = append(*l.to, p)
		}
		if l.end {
			*l.to = append(*l.to, nil)
		}
	}
	return s, nil
}

// setSpare finds the files that are for neither child. One that joins a frozen
// control group may keep what it has for long: a lock, or the pipe that
// somebody reads who waits for this process.
func (s *spawn) setSpare() {
	keep := append([]uintptr{s.target, uintptr(s.report)}, s.cgroups...)
	for _, fd := range s.stdio {
		keep = append(keep, uintptr(fd))
	}
	if s.hasFile {
		keep = append(keep, s.file)
	}
	slices.Sort(keep)
	first := uintptr(0)
	for _, fd := range keep {
		if fd > first {
			s.spare = append(s.spare, [2]uintptr{first, fd - 1})
		}
		first = fd + 1
	}
	s.spare = append(s.spare, [2]uintptr{first, 1<<32 - 1})
}

// fork starts the first child, which enters the namespaces, and returns its
// PID. A PID namespace holds for children only: the first child forks the
// second as its own sibling, and ends.
//
//go:noinline
//go:norace
func (s *spawn) fork() (int, unix.Errno) {
	beforeFork()
	pid, errno := rawClone3(&s.clone)
	if errno != 0 || pid != 0 {
		afterFork()
		return int(pid), errno
	}
	afterForkInChild()
	// The guest's root could trace what is not the program yet.
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0)
	for i := range s.spare {
		unix.RawSyscall(unix.SYS_CLOSE_RANGE, s.spare[i][0], s.spare[i][1], 0)
	}
	for _, fd := range s.cgroups {
		if _, _, e := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(s.zero)), 1); e != 0 {
			s.fail(stepCgroup, e)
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETNS, s.target, s.flags, 0); e != 0 {
		s.fail(stepEnter, e)
	}
	pid, errno = rawCloneNoted(unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|uintptr(unix.SIGCHLD), s.birth)
	if errno != 0 {
		s.fail(stepFork, errno)
	}
	if pid != 0 {
		rawExit(0)
	}
	s.become()
	return 0, 0
}

//go:nosplit
//go:norace
func (s *spawn) tell(step, value int32) unix.Errno {
	r := report{step, value}
	return rawWrite(s.report, unsafe.Pointer(&r), unsafe.Sizeof(r))
}

//go:nosplit
//go:norace
func (s *spawn) fail(step int32, e unix.Errno) {
	s.tell(step, int32(e))
	rawExit(127)
}

// become is the second child: it takes its streams, its user and its
// capabilities, and becomes the program.
//
//go:nosplit
//go:norace
func (s *spawn) become() {
	if s.sess {
		if _, _, e := unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0); e != 0 {
			s.fail(stepSession, e)
		}
	}
	s.streams()
	for i := range s.filters { // while it may
		_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&s.filters[i])))
		if e != 0 {
			s.fail(stepFilters, e)
		}
	}
	s.identity()
	s.stayWanted()
	if _, _, e := unix.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(s.dir)), 0, 0); e != 0 {
		s.fail(stepDir, e)
	}
	argv, envv := uintptr(unsafe.Pointer(&s.argv[0])), uintptr(unsafe.Pointer(&s.envv[0]))
	err := unix.ENOENT
	if s.hasFile {
		_, _, err = unix.RawSyscall6(unix.SYS_EXECVEAT, s.file, uintptr(unsafe.Pointer(s.empty)), argv, envv, unix.AT_EMPTY_PATH, 0)
	}
	for _, p := range s.paths {
		_, _, e := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p)), argv, envv)
		if e != unix.ENOENT && e != unix.ENOTDIR {
			err = e
			break
		}
	}
	s.fail(stepRun, err)
}

// streams makes the three files the standard streams, and the only files that
// the program gets. They are first moved out of the way, since one of them may
// be a standard stream already.
//
//go:nosplit
//go:norace
func (s *spawn) streams() {
	for i := range s.stdio {
		fd, _, e := unix.RawSyscall(unix.SYS_FCNTL, uintptr(s.stdio[i]), unix.F_DUPFD_CLOEXEC, 3)
		if e != 0 {
			s.fail(stepStreams, e)
		}
		s.stdio[i] = int(fd)
	}
	for i := range s.stdio {
		if _, _, e := unix.RawSyscall(unix.SYS_DUP3, uintptr(s.stdio[i]), uintptr(i), 0); e != 0 {
			s.fail(stepStreams, e)
		}
	}
	// Whatever else this process has open is not for the program.
	if _, _, e := unix.RawSyscall(unix.SYS_CLOSE_RANGE, 3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC); e != 0 {
		s.fail(stepStreams, e)
	}
	if s.terminal {
		if _, _, e := unix.RawSyscall(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0); e != 0 {
			s.fail(stepTerminal, e)
		}
	}
}

// stayWanted has this process die with its parent thread, or now if nobody
// waits for the program any more: its pipe has no reader then.
//
//go:nosplit
//go:norace
func (s *spawn) stayWanted() {
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	if s.tell(0, 0) != 0 {
		rawExit(127)
	}
}

//go:nosplit
//go:norace
func (s *spawn) identity() {
	for _, c := range s.drop { // EINVAL: the kernel does not know it
		if _, _, e := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0); e != 0 && e != unix.EINVAL {
			s.fail(stepCaps, e)
		}
	}
	var groups unsafe.Pointer
	if len(s.groups) > 0 {
		groups = unsafe.Pointer(&s.groups[0])
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(s.groups)), uintptr(groups), 0); e != 0 {
		s.fail(stepGroups, e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, s.gid, s.gid, s.gid); e != 0 {
		s.fail(stepGID, e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, s.uid, s.uid, s.uid); e != 0 {
		s.fail(stepUID, e)
	}
}
