package guest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/unit"
)

// execUnit runs c as a transient unit of the guest's systemd. The error is
// unit.ErrNotRun if it does not do that.
func (g *Guest) execUnit(ctx context.Context, c Command, a Account, s *streams) (int, error) {
	service, err := g.service(c, a, s)
	if err != nil {
		return CodeFailed, fmt.Errorf("%w: %w", unit.ErrNotRun, err)
	}
	talk, err := g.callSystemd(service.Name, c.Unit != "")
	if err != nil {
		return CodeFailed, err
	}
	defer func() { _ = talk.close() }()
	if ctx.Err() != nil {
		return CodeFailed, context.Cause(ctx)
	}
	signals := c.caught()
	if err := talk.Start(service); err != nil {
		talk.settled = errors.Is(err, unit.ErrNotRun)
		return CodeFailed, err
	}
	s.started()
	status, err := g.attendUnit(ctx, signals, &talk, (*unit.Run).Wait)
	if err != nil && !errors.Is(err, unit.ErrUnsure) {
		return CodeFailed, err
	}
	talk.settled = true
	s.drain()
	if status.Signal != 0 {
		return 128 + int(status.Signal), nil
	}
	return status.Code, err
}

// service is c as a unit.
func (g *Guest) service(c Command, a Account, s *streams) (unit.Service, error) {
	program, err := g.find(c)
	if err != nil {
		return unit.Service{}, err
	}
	if mode, err := g.mode(c.Dir); err != nil || mode&unix.S_IFMT != unix.S_IFDIR {
		return unit.Service{}, fmt.Errorf("working directory %s: %w", c.Dir, cmp.Or[error](err, unix.ENOTDIR))
	}
	if a.Number {
		return unit.Service{}, fmt.Errorf("the guest has no user %s by name", a.Name)
	}
	out := unit.Service{
		Name: cmp.Or(c.Unit, unit.NewName()), Description: "Run by berth", Whole: c.Unit != "", Program: program, Args: c.argv(), Env: c.Env, Dir: c.Dir,
		Stdin: s.in, Stdout: s.out, Stderr: s.err,
	}
	if a.UID != 0 || c.Shell {
		out.User = a.Name
	}
	if _, err := g.mode("/etc/pam.d/" + loginService); c.Shell && err == nil {
		out.PAM = loginService
	}
	return out, nil
}

// loginService is the configuration of pam(8) that logins on terminals have.
const loginService = "login"

// find is where the program of c is, by an absolute path. What cannot run is
// left to a direct entry, which tells exactly why.
func (g *Guest) find(c Command) (string, error) {
	for _, p := range candidates(c.Args[0]) {
		if !path.IsAbs(p) {
			p = path.Join(c.Dir, p)
		}
		switch mode, err := g.mode(p); {
		case err != nil:
		case mode&unix.S_IFMT == unix.S_IFREG && mode&0o111 != 0:
			return p, nil
		default:
			return "", fmt.Errorf("%s cannot be executed", p)
		}
	}
	return "", fmt.Errorf("%s: the guest has no such program", c.Args[0])
}

// mode is the mode of a file of the guest.
func (g *Guest) mode(path string) (uint32, error) {
	f, err := g.open(path, unix.O_PATH)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	return st.Mode, err
}

// talk is a conversation with the guest's systemd about one unit, which is
// stopped when this process ends before it.
type talk struct {
	*unit.Run
	link     *namespace.Link
	settled  bool // the program does not run, or not any more
	detached bool // it goes on without us
}

func (t *talk) close() error { return t.link.Close(!t.settled && !t.detached) }

// callSystemd connects to the guest's systemd about the unit with this name,
// which is stopped when the connection ends unless it is detached. The error is
// unit.ErrNotRun if there is none that answers.
func (g *Guest) callSystemd(name string, detached bool) (*talk, error) {
	t, err := g.dialSystemd(name, detached)
	if err != nil && !errors.Is(err, unit.ErrNotRun) {
		err = fmt.Errorf("%w: %w", unit.ErrNotRun, err)
	}
	return t, err
}

func (g *Guest) dialSystemd(name string, detached bool) (*talk, error) {
	if _, err := g.mode(unit.Socket); err != nil { // which is faster than to find out inside
		return nil, err
	}
	flags, err := g.namespaces()
	if err != nil {
		return nil, err
	}
	farewell, err := unit.Farewell(name)
	if err != nil {
		return nil, err
	}
	d := namespace.Dial{Target: g.leader.File(), Flags: flags, Path: unit.Socket, Farewell: farewell}
	if detached {
		d.Farewell = nil
	}
	link, err := d.Connect()
	if err != nil {
		return nil, err
	}
	run, err := unit.Open(link.UnixConn, name)
	if err != nil {
		return nil, errors.Join(err, link.Close(false))
	}
	return &talk{Run: run, link: link, detached: detached}, nil
}

// Attend waits for the end of a program that Exec has started in a unit with
// this name, and returns its exit code as Exec does. One of which the guest's
// systemd knows nothing has ended well, or has never run.
func (g *Guest) Attend(ctx context.Context, name string) (int, error) {
	t, err := g.callSystemd(name, true)
	if err != nil {
		return CodeFailed, g.explain(err)
	}
	defer func() { _ = t.close() }()
	status, err := g.attendUnit(ctx, nil, &t, (*unit.Run).Resume)
	switch {
	case err != nil && !errors.Is(err, unit.ErrUnsure):
		return CodeFailed, g.explain(err)
	case status.Signal != 0:
		return 128 + int(status.Signal), nil
	}
	return status.Code, nil
}

// attendUnit passes signals on to the program of a unit until it has ended, for
// which wait waits. *t is replaced where the guest's systemd executes itself
// anew.
func (g *Guest) attendUnit(ctx context.Context, signals <-chan os.Signal, t **talk, wait func(*unit.Run) (unit.Status, error)) (unit.Status, error) {
	var current atomic.Pointer[talk]
	current.Store(*t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		forward(ctx, signals, stop, func(s unix.Signal) {
			if t := current.Load(); !t.detached || ctx.Err() == nil {
				_ = t.Signal(s)
			}
		})
	}()
	defer func() { close(stop); <-stopped }()
	hurry := context.AfterFunc(ctx, func() {
		limit := killLimit
		if current.Load().detached {
			limit = 0
		}
		_ = current.Load().link.SetReadDeadline(time.Now().Add(limit))
	})
	defer hurry()
	status, err := wait((*t).Run)
	for errors.Is(err, unit.ErrLost) {
		next, err2 := g.callAgain(ctx, *t)
		if errors.Is(err2, ErrEnded) {
			return unit.Status{Signal: unix.SIGKILL}, nil // with its guest
		} else if err2 != nil {
			return status, errors.Join(err, err2)
		}
		*t = next
		current.Store(next)
		status, err = next.Resume()
	}
	return status, err
}

// How long a program that was killed may take to end, and the guest's systemd to tell of it,
// to execute itself anew, and until it is asked again whether it has.
const (
	killLimit   = 2 * time.Second
	reexecLimit = 90 * time.Second
	reexecPause = 20 * time.Millisecond
)

// callAgain is for when the guest's systemd has closed the connection: it has
// executed itself anew, as it does when it is upgraded, or ended with the
// guest, which is ErrEnded.
func (g *Guest) callAgain(ctx context.Context, old *talk) (*talk, error) {
	old.settled = true // the program runs on
	if err := old.close(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, reexecLimit)
	defer cancel()
	for {
		pause, cancel := context.WithTimeout(ctx, reexecPause)
		err := g.leader.Await(pause)
		cancel()
		if err == nil {
			return nil, ErrEnded
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if t, err := g.dialSystemd(old.Name(), old.detached); err == nil {
			return t, nil
		}
	}
}
