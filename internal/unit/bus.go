package unit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// maxMessage bounds a message that is read, in bytes. What systemd says of one
// of its units takes some thousands.
const maxMessage = 1 << 20

// bus is a connection to a peer that speaks D-Bus without a bus between: there
// are no names, and calls have serial numbers in the order in which they are
// made. See the D-Bus specification, and sd-bus(3) for the private socket.
type bus struct {
	conn  *net.UnixConn
	in    *bufio.Reader
	about []string // texts of signals that are of interest
}

// authenticate says who we are, which the peer knows from the socket, and that
// files are sent along with messages. All is said at once: the peer must have
// read the last word before it gets a file.
func (b *bus) authenticate() error {
	const words = "\x00AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" // 30 is "0", for root
	if _, err := b.conn.Write([]byte(words)); err != nil {
		return err
	}
	for _, want := range []string{"OK ", "AGREE_UNIX_FD"} {
		line, err := b.line()
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, want) {
			return fmt.Errorf("it does not let us in: it says %.40q", line)
		}
	}
	return nil
}

// line reads a line of the authentication.
func (b *bus) line() (string, error) {
	line, err := b.in.ReadSlice('\n')
	return strings.TrimSuffix(string(line), "\r\n"), err
}

// call is a method call to systemd's manager object.
type call struct {
	serial  uint32
	iface   string
	path    dbus.ObjectPath
	member  string
	args    []any
	noReply bool
}

// bytes are the call as it is sent, with the descriptors that go with it.
func (c call) bytes() (data []byte, fds []int, err error) {
	m := dbus.Message{Type: dbus.TypeMethodCall, Body: c.args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(c.path),
		dbus.FieldInterface: dbus.MakeVariant(c.iface),
		dbus.FieldMember:    dbus.MakeVariant(c.member),
	}}
	if c.noReply {
		m.Flags = dbus.FlagNoReplyExpected
	}
	if len(c.args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(c.args...))
	}
	n, err := m.CountFds()
	if err != nil {
		return nil, nil, err
	}
	if n > 0 {
		m.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(n))
	}
	var buf bytes.Buffer
	fds, err = m.EncodeToWithFDs(&buf, binary.LittleEndian)
	if err != nil {
		return nil, nil, err
	}
	data = buf.Bytes()
	binary.LittleEndian.PutUint32(data[8:], c.serial) // the fourth field of every message
	return data, fds, nil
}

func (b *bus) send(c call) error {
	data, fds, err := c.bytes()
	if err != nil {
		return err
	}
	if err := b.conn.SetWriteDeadline(time.Now().Add(answerLimit)); err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	n, _, err := b.conn.WriteMsgUnix(data, rights, nil)
	if err == nil && n < len(data) {
		_, err = b.conn.Write(data[n:])
	}
	return err
}

// receive reads the next message that is an answer or has one of the texts in
// it. To its own socket systemd tells all that happens in the guest, most of
// which need not be understood. Files that come with a message are not taken:
// the kernel closes them, as nobody asks for them.
func (b *bus) receive() (*dbus.Message, error) {
	for {
		data, err := b.message()
		if err != nil {
			return nil, err
		}
		isSignal := dbus.Type(data[1]) == dbus.TypeSignal
		if !isSignal || slices.ContainsFunc(b.about, func(text string) bool { return bytes.Contains(data, []byte(text)) }) {
			return decode(data)
		}
	}
}

// message reads the bytes of a message.
func (b *bus) message() ([]byte, error) {
	head, err := b.in.Peek(16)
	if err != nil {
		return nil, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 'B' {
		order = binary.BigEndian
	}
	body, fields := uint64(order.Uint32(head[4:])), uint64(order.Uint32(head[12:]))
	size := 16 + (fields+7)/8*8 + body
	if size > maxMessage {
		return nil, fmt.Errorf("it sends a message of %d bytes", size)
	}
	data := make([]byte, size)
	_, err = io.ReadFull(b.in, data)
	return data, err
}

// errFormat is what bytes are that are no message.
var errFormat = errors.New("it sends what is no message of D-Bus")

// decode reads one message, whatever the bytes are.
func decode(data []byte) (m *dbus.Message, err error) {
	defer func() {
		if recover() != nil { // the library panics on some
			m, err = nil, errFormat
		}
	}()
	m, err = dbus.DecodeMessage(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	return m, nil
}

// await reads messages until done says so of one, or the limit has passed; 0
// is none.
func (b *bus) await(limit time.Duration, done func(*dbus.Message) bool) error {
	var deadline time.Time
	if limit != 0 {
		deadline = time.Now().Add(limit)
	}
	if err := b.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	for {
		m, err := b.receive()
		if err != nil {
			return err
		}
		if done(m) {
			return nil
		}
	}
}

// header is a text in a message's header; "" where there is none.
func header(m *dbus.Message, f dbus.HeaderField) string {
	switch v := m.Headers[f].Value().(type) {
	case string:
		return v
	case dbus.ObjectPath:
		return string(v)
	}
	return ""
}

// answers reports whether m is the reply to the call with this serial number.
func answers(m *dbus.Message, serial uint32) bool {
	to, ok := m.Headers[dbus.FieldReplySerial].Value().(uint32)
	return ok && to == serial && (m.Type == dbus.TypeMethodReply || m.Type == dbus.TypeError)
}

// failure is the error that m is, or nil.
func failure(m *dbus.Message) error {
	if m.Type != dbus.TypeError {
		return nil
	}
	text := header(m, dbus.FieldErrorName)
	if len(m.Body) > 0 {
		if s, ok := m.Body[0].(string); ok {
			text = s
		}
	}
	return fmt.Errorf("it says %.200q", text)
}
