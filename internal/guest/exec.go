package guest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/unit"
)

// SearchPath is where programs are looked for in a guest: the places of
// NixOS, then those of the file system hierarchy.
const SearchPath = "/run/wrappers/bin:/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Command is a program to run in a guest.
type Command struct {
	Args  []string // Args[0] is looked for in SearchPath, unless it has a slash
	Name  string   // what the program is told as its name, where that is not Args[0]
	File  *os.File // a program of the host to run inside, instead of Args[0]
	Env   []string // KEY=VALUE, beside those that every program has
	Dir   string   // absolute; the user's home by default, or / where that is not there
	User  string   // a name or number; root by default
	Shell bool     // run the user's login shell, and Args are what follows its name
	Way   Way      // into the guest
	// Unit is the name of the unit to run by, such as unit.NewName gives. The
	// program goes on in it when this process or the context of Exec ends; Attend
	// waits for it then. It goes with ByUnit and without a terminal.
	Unit string
	// Impatient is for what is not to wait until a guest thaws that is frozen
	// while the program runs: it is killed then, which is ErrFrozen.
	Impatient bool

	// Stdin, Stdout and Stderr are given to the program as they are, but for
	// terminals of the host, whose data is passed on.
	Stdin, Stdout, Stderr *os.File
	// Terminal gives the program a terminal of the guest, connected to Stdin
	// and Stdout.
	Terminal bool
	// Signals is asked before the program starts, for what is passed on to it.
	Signals func() <-chan os.Signal
}

// Way is a way for a program to get into a guest.
type Way string

// The ways. A unit is one of the guest's own systemd, so that the program is
// confined as the guest is, and seen there; Direct enters the guest from the
// host, whatever its init is.
const (
	Either Way = ""       // a unit where the guest's systemd makes one, else Direct
	ByUnit Way = "unit"   // or not at all
	Direct Way = "direct" // always for a Command with a File
)

// Exit codes of a program that did not run, as those of env(1).
const (
	CodeFailed        = 125
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// Exec runs c and returns its exit code, or 128 and the number of the signal
// that ended it. An error says why it did not run; the code is then one of
// CodeFailed, CodeNotExecutable and CodeNotFound. When ctx ends the program is
// killed; that is such an error where it was not known to run.
func (g *Guest) Exec(ctx context.Context, c Command) (int, error) {
	a, err := g.Account(cmp.Or(c.User, "root"))
	if err != nil {
		return CodeFailed, err
	}
	if c.Dir == "" {
		c.Dir = g.home(a)
	}
	c = c.forUser(a)
	if len(c.Args) == 0 {
		return CodeFailed, errors.New("no command is given")
	}
	s, err := g.connect(c, a)
	if err != nil {
		return CodeFailed, err
	}
	defer s.close()
	if c.Impatient {
		var stop func()
		ctx, stop = g.whileThawed(ctx)
		defer stop()
	}
	if c.Way != Direct && c.File == nil {
		code, err := g.execUnit(ctx, c, a, s)
		if err == nil || errors.Is(err, unit.ErrUnsure) {
			return code, err
		}
		if c.Way == ByUnit || !errors.Is(err, unit.ErrNotRun) {
			return code, g.explain(err)
		}
	}
	return g.execDirect(ctx, c, a, s)
}

// home is where the user's programs start: / for one whose home is not there,
// as for login(1).
func (g *Guest) home(a Account) string {
	if mode, err := g.mode(a.Home); err != nil || mode&unix.S_IFMT != unix.S_IFDIR {
		return "/"
	}
	return a.Home
}

// forUser is c with what the account says where c does not.
func (c Command) forUser(a Account) Command {
	c.Env = append(environment(a), c.Env...)
	if c.Shell {
		c.Args = append([]string{a.Shell}, c.Args...)
		c.Name = "-" + path.Base(a.Shell)
	}
	return c
}

// caught is what gives the signals for the program, which may start then.
func (c Command) caught() <-chan os.Signal {
	if c.Signals == nil {
		return nil
	}
	return c.Signals()
}

// argv are the arguments with the name that the program is told.
func (c Command) argv() []string { return append([]string{cmp.Or(c.Name, c.Args[0])}, c.Args[1:]...) }

// execDirect runs c by entering the guest.
func (g *Guest) execDirect(ctx context.Context, c Command, a Account, s *streams) (int, error) {
	starting, stop := g.whileThawed(ctx)
	defer stop()
	inner, err := g.command(starting, c, a)
	if err != nil {
		return CodeFailed, g.explain(err)
	}
	defer closeGroups(inner)
	inner.Stdin, inner.Stdout, inner.Stderr, inner.Terminal = s.in, s.out, s.err, s.terminal

	signals := c.caught()
	runtime.LockOSThread() // the program is killed with its parent thread
	defer runtime.UnlockOSThread()
	pid, err := inner.Start(starting)
	stop()
	s.started()
	if err != nil {
		return codeOf(err), g.explain(startError(err, inner))
	}
	status, err := attend(ctx, signals, pid)
	if err != nil {
		return CodeFailed, err
	}
	s.drain()
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// command is c in the guest's namespaces, without its streams.
func (g *Guest) command(ctx context.Context, c Command, a Account) (*namespace.Command, error) {
	flags, err := g.namespaces()
	if err != nil {
		return nil, err
	}
	if err := g.awaitInit(ctx); err != nil {
		return nil, err
	}
	confined, err := g.confinement()
	if err != nil {
		return nil, err
	}
	filters, err := g.readFilters(ctx, confined.filters)
	if err != nil {
		return nil, err
	}
	tasks, group, err := g.cgroups.OpenEntrance(g.leader.PID)
	if err != nil {
		return nil, err
	}
	return &namespace.Command{
		Target: g.leader.File(), Flags: flags, Bounding: confined.bounding, Filters: filters, Cgroups: tasks, CgroupDir: group,
		UID: a.UID, GID: a.GID, Groups: a.Groups, Dir: c.Dir, Env: c.Env, NewSession: true,
		File: c.File, Paths: candidates(c.Args[0]), Args: c.argv(),
	}, nil
}

func closeGroups(c *namespace.Command) {
	for _, f := range c.Cgroups {
		f.Close()
	}
	if c.CgroupDir != nil {
		c.CgroupDir.Close()
	}
}

// candidates are the paths at which a program may be.
func candidates(program string) []string {
	if strings.Contains(program, "/") {
		return []string{program}
	}
	var out []string
	for dir := range strings.SplitSeq(SearchPath, ":") {
		out = append(out, dir+"/"+program)
	}
	return out
}

func environment(a Account) []string {
	return []string{"PATH=" + SearchPath, "HOME=" + a.Home, "USER=" + a.Name, "LOGNAME=" + a.Name,
		"SHELL=" + a.Shell, "LANG=C.UTF-8", "container=systemd-nspawn"}
}

// attend passes signals on to the child pid until it ends. When ctx ends it is
// killed. Its end is not waited for long then: in a frozen guest it may come
// when that is thawed.
func attend(ctx context.Context, signals <-chan os.Signal, pid int) (unix.WaitStatus, error) {
	gone := make(chan struct{})
	var err error
	go func() {
		defer close(gone)
		err = ended(pid)
	}()
	// Until it is waited for, nobody else can get its PID, and its signals.
	forward(ctx, signals, gone, func(s unix.Signal) { pass(pid, s) })
	limit := killLimit
	if context.Cause(ctx) == ErrFrozen {
		limit = grace
	}
	select {
	case <-gone:
	case <-time.After(limit):
		go func() {
			<-gone
			_, _ = wait(pid)
		}()
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, err
	}
	return wait(pid)
}

// pass passes a signal on to the child pid, which has a session of its own. What
// a terminal sends, it sends to all of a group: a shell alone would leave behind
// what it waits for, or would wait for that. So does who kills.
func pass(pid int, s unix.Signal) {
	to := pid
	switch s {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGKILL:
		to = -pid
	}
	if unix.Kill(to, s) == unix.ESRCH { // it is about to have its session
		_ = unix.Kill(pid, s)
	}
}

// ended returns when a child has ended, and leaves it to be waited for.
func ended(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return os.NewSyscallError("waitid", err)
		}
	}
}

// wait waits for a child that is not an os.Process.
func wait(pid int) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err != unix.EINTR {
			return status, os.NewSyscallError("wait4", err)
		}
	}
}

// forward passes signals on with send until stop is closed, and SIGKILL when
// ctx ends.
func forward(ctx context.Context, signals <-chan os.Signal, stop <-chan struct{}, send func(unix.Signal)) {
	for {
		select {
		case s := <-signals:
			if n, ok := s.(unix.Signal); ok {
				send(n)
			}
		case <-ctx.Done():
			send(unix.SIGKILL)
			return
		case <-stop:
			return
		}
	}
}

func codeOf(err error) int {
	var step *namespace.StepError
	switch {
	case !errors.As(err, &step) || step.Step != "run":
		return CodeFailed
	case errors.Is(err, fs.ErrNotExist):
		return CodeNotFound
	default:
		return CodeNotExecutable
	}
}

// startError names the program in an error about it.
func startError(err error, c *namespace.Command) error {
	var step *namespace.StepError
	if !errors.As(err, &step) {
		return err
	}
	switch {
	case step.Step == "run" && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: the guest has no such program", c.Args[0])
	case step.Step == "run":
		return fmt.Errorf("%s: %w", c.Args[0], step.Err)
	case step.Step == "working directory":
		return fmt.Errorf("working directory %s: %w", c.Dir, step.Err)
	}
	return err
}
