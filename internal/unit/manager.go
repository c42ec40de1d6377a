package unit

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Socket is where systemd listens for root, in a guest; see sd-bus(3).
const Socket = "/run/systemd/private"

// How long systemd may take: one that answers at all does so at once, but all
// CPUs may be busy. A start may wait for its mount points.
const (
	answerLimit = 2 * time.Second
	startLimit  = 20 * time.Second
)

// bufferSize takes what systemd says of the start of a unit, in bytes.
const bufferSize = 32 << 10

// ErrNotRun is wrapped by the errors for programs that have not been run, and
// will not be: somebody else may do it.
var ErrNotRun = errors.New("the guest's systemd does not run it")

// ErrLost says that the connection has ended before the program: systemd has
// ended, or has executed itself anew.
var ErrLost = errors.New("the guest's systemd has closed the connection")

// ErrUnsure says that a program has ended at once with a status that may be its
// own, or that of a systemd before version 256 which could not run it.
var ErrUnsure = errors.New("its exit status, or that of a systemd that could not run it (see systemd.exec(5))")

// Status is how a program ended: with an exit code, or by a signal.
type Status struct {
	Code   int
	Signal unix.Signal
}

// Run is one service and a connection to the systemd that it is of.
type Run struct {
	name   string
	bus    bus
	serial atomic.Uint32
	seen   observed
	unsure bool // it is not known that the program has been run
}

// observed is what systemd has said of the unit.
type observed struct {
	active       string // ActiveState
	code, status int32  // ExecMainCode, a CLD_… of waitid(2), and ExecMainStatus
	result       string // of the job; "" until it has ended
	// A job that fails says that the program was not run: from systemd 256 on,
	// which this tells by a property that is new there. Before, it may also
	// have ended at once.
	exact bool
}

// Open begins to talk to a systemd about the unit with this name. The caller
// closes the connection.
func Open(conn *net.UnixConn, name string) (*Run, error) {
	r := &Run{name: name, bus: bus{conn: conn, in: bufio.NewReaderSize(conn, bufferSize), about: []string{name, string(pathOf(name))}}}
	if err := conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, err
	}
	switch err := r.bus.authenticate(); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("%w: it does not answer within %v", ErrNotRun, answerLimit)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNotRun, err)
	}
	return r, conn.SetDeadline(time.Time{})
}

// Name is the unit's.
func (r *Run) Name() string { return r.name }

// Start starts the service, and returns when the program runs. After an error
// that is not ErrNotRun nobody knows whether it does.
func (r *Run) Start(s Service) error {
	if err := s.valid(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRun, err)
	}
	start := r.manager("StartTransientUnit", false, s.Name, "fail", s.properties(), []auxiliary{})
	if err := r.bus.send(start); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	var refused error
	err := r.bus.await(startLimit, func(m *dbus.Message) bool {
		if answers(m, start.serial) {
			refused = failure(m)
			return refused != nil
		}
		r.seen.note(m, r.name)
		return r.seen.result != ""
	})
	switch {
	case refused != nil:
		return fmt.Errorf("%w: %w", ErrNotRun, refused)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("start %s: the guest's systemd has not done it within %v", s.Name, startLimit)
	case err != nil:
		return fmt.Errorf("start %s: %w", s.Name, err)
	case r.seen.result == "failed" && r.seen.ofSystemd() && r.seen.exact:
		r.reset()
		return fmt.Errorf("%w: it ended with status %d before the program (see systemd.exec(5))", ErrNotRun, r.seen.status)
	case r.seen.result == "failed" && r.seen.code != 0: // it has ended at once
		r.seen.result, r.unsure = "done", true
	case r.seen.result != "done":
		return fmt.Errorf("start %s: the job ended with %.40q", s.Name, r.seen.result)
	default:
		r.unsure = s.PAM != "" // the job has ended before
	}
	return nil
}

// auxiliary is a (sa(sv)) of StartTransientUnit.
type auxiliary struct {
	Name       string
	Properties []property
}

// Wait waits for the end of the program. The error is ErrLost if the
// connection ends first; with a new one, Resume goes on. It is ErrUnsure, and
// the status that of the unit, where that may be of systemd or of the program.
func (r *Run) Wait() (Status, error) {
	if !r.seen.ended() {
		err := r.bus.await(0, func(m *dbus.Message) bool {
			r.seen.note(m, r.name)
			return r.seen.ended()
		})
		if err != nil {
			return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
		}
	}
	if r.seen.active == "failed" {
		r.reset()
	}
	if r.unsure && r.seen.ofSystemd() {
		return r.seen.exit(), fmt.Errorf("%w: %d", ErrUnsure, r.seen.status)
	}
	return r.seen.exit(), nil
}

// Resume waits, as Wait does, for the end of a program that was started, and
// run, over another connection. A unit that is gone has ended well; see properties.
func (r *Run) Resume() (Status, error) {
	var asked []call
	for _, p := range [][2]string{{serviceInterface, "ExecMainCode"}, {serviceInterface, "ExecMainStatus"}, {unitInterface, "ActiveState"}} {
		get := call{serial: r.next(), iface: "org.freedesktop.DBus.Properties", path: pathOf(r.name), member: "Get", args: []any{p[0], p[1]}}
		if err := r.bus.send(get); err != nil {
			return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
		}
		asked = append(asked, get)
	}
	var refused error
	err := r.bus.await(startLimit, func(m *dbus.Message) bool {
		r.seen.note(m, r.name)
		if len(asked) == 0 || !answers(m, asked[0].serial) {
			return false
		}
		if refused = failure(m); refused == nil && len(m.Body) == 1 {
			r.seen.set(asked[0].args[1].(string), m.Body[0])
		}
		asked = asked[1:]
		return refused != nil || len(asked) == 0
	})
	switch {
	case err != nil:
		return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
	case refused != nil || r.seen.active == "inactive" && r.seen.code == 0:
		return Status{}, nil
	}
	r.seen.result = "done"
	return r.Wait()
}

// Signal sends a signal to the program, and what a terminal would send to what it
// has started too: a shell waits for that. It may be called while another
// goroutine waits; whether it arrives is not known.
func (r *Run) Signal(sig unix.Signal) error {
	whom := "main"
	switch sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGHUP:
		whom = "all"
	}
	return r.bus.send(r.manager("KillUnit", true, r.name, whom, int32(sig)))
}

// Farewell is what kills the program of the unit with this name, to be sent
// over a connection that Open has been called for.
func Farewell(name string) ([]byte, error) {
	var r Run
	r.serial.Store(1 << 31) // none that Run would use
	data, _, err := r.manager("StopUnit", true, name, "replace").bytes()
	return data, err
}

// reset has a failed unit forgotten. It waits for the answer: what is said just
// before the connection ends need not be heard.
func (r *Run) reset() {
	forget := r.manager("ResetFailedUnit", false, r.name)
	if r.bus.send(forget) == nil {
		_ = r.bus.await(answerLimit, func(m *dbus.Message) bool { return answers(m, forget.serial) })
	}
}

func (r *Run) next() uint32 { return r.serial.Add(1) }

const (
	managerInterface = "org.freedesktop.systemd1.Manager"
	unitInterface    = "org.freedesktop.systemd1.Unit"
	serviceInterface = "org.freedesktop.systemd1.Service"
)

// manager is a call of systemd's manager; see org.freedesktop.systemd1(5).
func (r *Run) manager(member string, noReply bool, args ...any) call {
	return call{serial: r.next(), iface: managerInterface, path: "/org/freedesktop/systemd1", member: member, args: args, noReply: noReply}
}
