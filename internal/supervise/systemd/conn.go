package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// What systemd is on D-Bus; see org.freedesktop.systemd1(5).
const (
	manager     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
)

// link is a connection to systemd.
type link struct {
	*dbus.Conn               // that signals come on
	units      *systemd.Conn // the same one, for units and jobs
	byBus      bool          // it leads over the bus of the machine
}

// connect returns the connection to systemd, which is made when it is first
// needed, and anew where systemd has closed it, as it does when it executes
// itself again.
func (s *Supervisor) connect() (*link, error) {
	s.dialing.Lock()
	defer s.dialing.Unlock()
	if s.linked != nil && s.linked.units.Connected() {
		return s.linked, nil
	}
	l := &link{}
	ctx, cancel := context.WithCancel(s.life)
	limit := time.AfterFunc(answerLimit, cancel) // it waits for an answer too
	var err error
	l.units, err = systemd.NewConnection(func() (*dbus.Conn, error) {
		// It wants two, of which one is for signals: that nobody takes these
		// shall not hold up answers, which it does not here.
		if l.Conn == nil {
			l.Conn, l.byBus, err = s.dial(ctx, !s.unanswered)
		}
		return l.Conn, err
	})
	if !limit.Stop() {
		s.unanswered = true
		return nil, errUnanswered
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s.linked = l
	return l, nil
}

// answerLimit is how long systemd may take to answer.
const answerLimit = 15 * time.Second

// errUnanswered is the end of a call that took longer.
var errUnanswered = errors.New("systemd does not answer: is this machine out of memory, or very busy?")

// ask calls f to ask systemd something. Where systemd closes the connection, or
// its own socket gives no answer, f is called once more, with another one; that
// is to the bus of the machine where systemd's socket was silent. f may be asked
// twice to begin the same job, which systemd makes one of.
func (s *Supervisor) ask(ctx context.Context, f func(context.Context, *link) error) error {
	return s.askFor(ctx, answerLimit, f)
}

// askFor is ask for what takes systemd so long, at most.
func (s *Supervisor) askFor(ctx context.Context, limit time.Duration, f func(context.Context, *link) error) error {
	err := s.askOnce(ctx, limit, f)
	if errors.Is(err, errUnanswered) || errors.Is(err, dbus.ErrClosed) {
		err = s.askOnce(ctx, limit, f)
	}
	return err
}

func (s *Supervisor) askOnce(ctx context.Context, limit time.Duration, f func(context.Context, *link) error) error {
	l, err := s.connect()
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = f(within, l)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case within.Err() != nil:
		s.abandon(l)
		return errUnanswered
	case !l.units.Connected():
		return dbus.ErrClosed
	}
	return err
}

// abandon closes a connection that gives no answers, so that nobody waits for
// signals on it either.
func (s *Supervisor) abandon(l *link) {
	s.dialing.Lock()
	defer s.dialing.Unlock()
	if s.linked == l {
		s.linked, s.unanswered = nil, true
	}
	l.units.Close()
}

// dial connects to systemd, by the bus of the machine where that is wanted, or
// the only way, which it is for others than root. Signals are delivered in their
// order, and none is dropped.
//
// While systemd executes itself again, which takes a moment, nobody listens on
// its socket, nor for it on the bus.
func (s *Supervisor) dial(ctx context.Context, private bool) (_ *dbus.Conn, byBus bool, err error) {
	options := []dbus.ConnOption{dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())}
	private = private && os.Geteuid() == 0
	for private {
		conn, err := dialPrivate(s.wanted, options)
		if err == nil {
			return conn, false, nil
		}
		if private = executes(err) && ctx.Err() == nil; private {
			time.Sleep(dialAgain)
		}
	}
	conn, err := dbus.ConnectSystemBus(options...)
	if err != nil {
		return nil, false, fmt.Errorf("connect to systemd: %w", err)
	}
	return conn, true, nil
}
