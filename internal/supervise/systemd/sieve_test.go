package systemd

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/internal/state"
)

// message is a D-Bus message as it is sent.
func message(t *testing.T, order binary.ByteOrder, kind dbus.Type, path dbus.ObjectPath, member string, body string) []byte {
	t.Helper()
	m := &dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant("a.b"), dbus.FieldMember: dbus.MakeVariant(member),
		dbus.FieldReplySerial: dbus.MakeVariant(uint32(7)), dbus.FieldErrorName: dbus.MakeVariant("a.b"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body)),
	}, Body: []any{body}}
	var b bytes.Buffer
	must(t, m.EncodeTo(&b, order))
	out := b.Bytes()
	order.PutUint32(out[8:], 1) // the serial, which only a connection sets
	return out
}

// TestSieve leaves out signals of others, wherever reads and buffers end.
func TestSieve(t *testing.T) {
	t.Parallel()
	s := &Supervisor{Paths: state.Paths{Root: "/"}}
	long := strings.Repeat("x", 5000)
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		all := []struct {
			kind   dbus.Type
			path   dbus.ObjectPath
			member string
			stays  bool
		}{
			{dbus.TypeSignal, "/org/freedesktop/systemd1", "UnitNew", false},
			{dbus.TypeSignal, "/org/freedesktop/systemd1", "JobRemoved", true},
			{dbus.TypeSignal, unitPath("berth@web.service"), "PropertiesChanged", true},
			{dbus.TypeMethodReply, "/x", "X", true},
			{dbus.TypeSignal, unitPath("berth-0123abcd@web.service"), "PropertiesChanged", false},
			{dbus.TypeSignal, unitPath("systemd-nspawn@web.service"), "PropertiesChanged", false},
			{dbus.TypeError, "/x", "X", true},
		}
		var in, want []byte
		for _, m := range all {
			for _, body := range []string{"", "short", long} {
				b := message(t, order, m.kind, m.path, m.member, body)
				in = append(in, b...)
				if m.stays {
					want = append(want, b...)
				}
			}
		}
		for _, size := range []int{512, 1 << 14} {
			got, err := io.ReadAll(iotest{&sieve{in: bufio.NewReaderSize(bytes.NewReader(in), size), wanted: s.wanted}})
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("%v, buffer of %d: %d bytes come through, not %d", order, size, len(got), len(want))
			}
		}
	}
	huge := binary.LittleEndian.AppendUint32([]byte{'l', 4, 0, 1}, 1<<31)
	if _, err := (&sieve{in: bufio.NewReader(bytes.NewReader(append(huge, make([]byte, 20)...)))}).Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a message that is too long: %v", err)
	}
}

// iotest reads a few bytes at a time.
type iotest struct{ io.Reader }

func (r iotest) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 7)]) }
