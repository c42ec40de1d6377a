package systemd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// privateSocket is where systemd itself serves D-Bus to root. There is no bus
// in between that could be missing or restart, and signals come unasked.
const privateSocket = "/run/systemd/private"

// wanted reports whether a signal, of which this is the header, is of use here:
// the end of a job, or a change of the unit of a container.
func (s *Supervisor) wanted(header []byte) bool {
	return bytes.Contains(header, []byte("JobRemoved\x00")) ||
		bytes.Contains(header, []byte(unitPath(s.Paths.Instance()+"@")))
}

func dialPrivate(wanted func(header []byte) bool, options []dbus.ConnOption) (*dbus.Conn, error) {
	socket, err := net.Dial("unix", privateSocket)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(socket, bufferSize)
	err = authenticate(socket, buffered)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	conn, err := dbus.NewConn(&authenticated{Conn: socket, in: &sieve{in: buffered, wanted: wanted}}, options...)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// executes reports whether a connection may have failed since systemd is just
// executing itself again.
func executes(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, io.EOF)
}

// dialAgain is the time after which one tries again then.
const dialAgain = 20 * time.Millisecond

// bufferSize takes most messages, in bytes: the library reads each field of one
// by itself, and a sieve looks at a whole header.
const bufferSize = 16 << 10

// authLimit is the time that systemd has to let root in.
const authLimit = 10 * time.Second

// authenticate is the client's part of the D-Bus specification's
// authentication, said at once and before anything else. systemd does not look
// at a message that comes together with the word BEGIN until more comes, which
// a client that first waits for OK, and then says BEGIN and sends, cannot rule
// out.
func authenticate(socket net.Conn, in *bufio.Reader) error {
	if err := socket.SetDeadline(time.Now().Add(authLimit)); err != nil {
		return err
	}
	if _, err := io.WriteString(socket, "\x00AUTH EXTERNAL 30\r\nBEGIN\r\n"); err != nil { // 30 is user 0
		return err
	}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("OK ")) {
		return fmt.Errorf("systemd answers %q", line)
	}
	return socket.SetDeadline(time.Time{})
}

// authenticated is a connection that has been authenticated, for a client that
// wants to do that by itself: it gets the answers that it expects.
type authenticated struct {
	net.Conn
	in      *sieve // of Conn
	answers bytes.Buffer
	begun   bool
}

// Write implements io.Writer.
func (a *authenticated) Write(p []byte) (int, error) {
	if a.begun {
		return a.Conn.Write(p)
	}
	switch line := strings.TrimSpace(string(p)); {
	case line == "AUTH":
		a.answers.WriteString("REJECTED EXTERNAL\r\n")
	case strings.HasPrefix(line, "AUTH "), strings.HasPrefix(line, "DATA"):
		a.answers.WriteString("OK systemd\r\n")
	case line == "BEGIN":
		a.begun = true
	}
	return len(p), nil
}

// Read implements io.Reader.
func (a *authenticated) Read(p []byte) (int, error) {
	if a.answers.Len() > 0 {
		return a.answers.Read(p)
	}
	return a.in.Read(p)
}
