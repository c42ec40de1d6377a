package unit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// name is the unit of all tests.
const name = "berth-exec-test.service"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is a connection and what a guest has of it.
func pair(t testing.TB) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	var out [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		c, err := net.FileConn(f)
		must(t, err)
		must(t, f.Close())
		out[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	return out[0], out[1]
}

// peer plays systemd: it lets berth in and then says what it is told to.
func peer(t testing.TB, say ...[]byte) *Run {
	t.Helper()
	ours, theirs := pair(t)
	_, err := theirs.Write(append([]byte("OK 0123\r\nAGREE_UNIX_FD\r\n"), bytes.Join(say, nil)...))
	must(t, err)
	r, err := Open(ours, name)
	must(t, err)
	return r
}

func message(t testing.TB, m dbus.Message) []byte {
	t.Helper()
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var b bytes.Buffer
	must(t, m.EncodeTo(&b, binary.LittleEndian))
	return b.Bytes()
}

func signal(t testing.TB, path dbus.ObjectPath, iface, member string, body ...any) []byte {
	t.Helper()
	return message(t, dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
	}})
}

func changed(t testing.TB, unit string, values map[string]any) []byte {
	t.Helper()
	set := map[string]dbus.Variant{}
	for k, v := range values {
		set[k] = dbus.MakeVariant(v)
	}
	return signal(t, pathOf(unit), "org.freedesktop.DBus.Properties", "PropertiesChanged", serviceInterface, set, []string{})
}

func removed(t testing.TB, unit, result string) []byte {
	t.Helper()
	return signal(t, "/org/freedesktop/systemd1", managerInterface, "JobRemoved", uint32(1), dbus.ObjectPath("/job/1"), unit, result)
}

func refusal(t testing.TB, text string) []byte {
	t.Helper()
	return message(t, dbus.Message{Type: dbus.TypeError, Body: []any{text}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldErrorName: dbus.MakeVariant("org.example.No"), dbus.FieldReplySerial: dbus.MakeVariant(uint32(1)),
	}})
}

func service() Service {
	return Service{Name: name, Program: "/bin/true", Args: []string{"true"}, Dir: "/", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// TestStatus is about what systemd says in the course of a unit's life.
func TestStatus(t *testing.T) {
	t.Parallel()
	type values = map[string]any
	ran := removed(t, name, "done")
	end := func(active string, code, status int32) []byte {
		return changed(t, name, values{"ActiveState": active, "ExecMainCode": code, "ExecMainStatus": status})
	}
	for title, c := range map[string]struct {
		said  [][]byte
		want  Status
		start error // that Start gives
		wait  error // that Wait gives
	}{
		"well":            {said: [][]byte{ran, end("inactive", 1, 0)}},
		"code":            {said: [][]byte{ran, end("failed", 1, 7)}, want: Status{Code: 7}},
		"signal":          {said: [][]byte{ran, end("failed", 2, 15)}, want: Status{Signal: 15}},
		"core":            {said: [][]byte{ran, end("failed", 3, 11)}, want: Status{Signal: 11}},
		"code of systemd": {said: [][]byte{ran, end("failed", 1, 203)}, want: Status{Code: 203}},
		"others first": {said: [][]byte{removed(t, "other.service", "failed"), changed(t, "other.service", values{"ActiveState": "failed"}),
			changed(t, name, values{"ActiveState": "inactive"}), ran, changed(t, name, values{"ActiveState": "active"}), end("failed", 1, 3)}, want: Status{Code: 3}},
		"ended before its job":     {said: [][]byte{end("inactive", 1, 0), ran}},
		"failed before its job":    {said: [][]byte{end("failed", 1, 4), removed(t, name, "failed")}, want: Status{Code: 4}},
		"who knows":                {said: [][]byte{end("failed", 1, 203), removed(t, name, "failed")}, want: Status{Code: 203}, wait: ErrUnsure},
		"not run":                  {said: [][]byte{changed(t, name, values{"ExecMainHandoffTimestamp": uint64(0)}), end("failed", 1, 203), removed(t, name, "failed")}, start: ErrNotRun},
		"refused":                  {said: [][]byte{refusal(t, "no")}, start: ErrNotRun},
		"ends in between":          {said: [][]byte{ran}, wait: ErrLost},
		"properties of other type": {said: [][]byte{ran, changed(t, name, values{"ActiveState": 1, "ExecMainCode": "x", "ExecMainStatus": []string{}})}, wait: ErrLost},
		"nonsense":                 {said: [][]byte{ran, bytes.Repeat([]byte{'l', 4, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0}, 9)}, wait: ErrLost},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t)
			_, err := theirs.Write(append([]byte("OK 0123\r\nAGREE_UNIX_FD\r\n"), bytes.Join(c.said, nil)...))
			must(t, err)
			must(t, theirs.CloseWrite())
			r, err := Open(ours, name)
			must(t, err)
			if err = r.Start(service()); !errors.Is(err, c.start) {
				t.Fatalf("Start: %v, want %v", err, c.start)
			}
			if c.start != nil {
				return
			}
			got, err := r.Wait()
			if !errors.Is(err, c.wait) || got != c.want {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, c.want, c.wait)
			}
		})
	}
}

// TestHostile: a peer that says what it likes is an error, soon.
func TestHostile(t *testing.T) {
	t.Parallel()
	for title, say := range map[string]string{
		"silence":     "",
		"refusal":     "REJECTED EXTERNAL\r\n",
		"no files":    "OK 0123\r\nERROR\r\n",
		"endless":     strings.Repeat("x", 64<<10),
		"wrong order": "AGREE_UNIX_FD\r\nOK\r\n",
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t)
			go func() { _, _ = theirs.Write([]byte(say)) }()
			begun := time.Now()
			if _, err := Open(ours, name); !errors.Is(err, ErrNotRun) {
				t.Errorf("Open: %v", err)
			}
			if took := time.Since(begun); took > 5*answerLimit {
				t.Errorf("it took %v", took)
			}
		})
	}
	huge := []byte{'l', 4, 1, 1, 0, 0, 0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0}
	if err := peer(t, huge).Start(service()); err == nil || errors.Is(err, ErrNotRun) {
		t.Errorf("after a huge message: %v", err)
	}
}

// TestNotText: what D-Bus cannot carry is found before systemd is asked.
func TestNotText(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{"\xff", "\ufffe", "\ufdd0", "\U0001ffff"} {
		s := service()
		s.Args = []string{"true", odd}
		if err := peer(t).Start(s); !errors.Is(err, ErrNotRun) {
			t.Errorf("%q: %v", odd, err)
		}
	}
}

// TestFarewell: what is said in the end is a message that systemd can read.
func TestFarewell(t *testing.T) {
	t.Parallel()
	data, err := Farewell(name)
	must(t, err)
	m, err := decode(data)
	must(t, err)
	if header(m, dbus.FieldMember) != "StopUnit" || len(m.Body) != 2 || m.Body[0] != name || m.Serial() == 0 {
		t.Errorf("farewell %v", m)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(removed(f, name, "done"))
	f.Add(changed(f, name, map[string]any{"ActiveState": "failed", "ExecMainCode": int32(1), "ExecMainStatus": int32(2)}))
	f.Add(refusal(f, "no"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := bus{in: bufio.NewReader(bytes.NewReader(data)), about: []string{""}}
		var o observed
		for {
			m, err := b.receive()
			if err != nil {
				if errors.Is(err, io.ErrNoProgress) {
					t.Fatal(err)
				}
				return
			}
			o.note(m, name)
			_, _ = o.exit(), failure(m)
		}
	})
}
