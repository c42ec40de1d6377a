package unit

import (
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// pathOf is the object of a unit: all bytes that are no letters or digits are
// written as an underscore and two hexadecimal digits; see sd_bus_path_encode(3).
func pathOf(name string) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString("/org/freedesktop/systemd1/unit/")
	for _, c := range []byte(name) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return dbus.ObjectPath(b.String())
}

// note takes from a message what it says of the unit with this name.
func (o *observed) note(m *dbus.Message, name string) {
	if m.Type != dbus.TypeSignal {
		return
	}
	switch header(m, dbus.FieldMember) {
	case "JobRemoved": // number, object, unit, result
		if len(m.Body) == 4 && m.Body[2] == name {
			o.result, _ = m.Body[3].(string)
		}
	case "PropertiesChanged": // interface, values, names
		if len(m.Body) != 3 || header(m, dbus.FieldPath) != string(pathOf(name)) {
			return
		}
		values, _ := m.Body[1].(map[string]dbus.Variant)
		for key, v := range values {
			o.set(key, v)
		}
	}
}

func (o *observed) set(key string, v any) {
	if variant, ok := v.(dbus.Variant); ok {
		v = variant.Value()
	}
	switch key {
	case "ActiveState":
		o.active, _ = v.(string)
	case "ExecMainCode":
		o.code, _ = v.(int32)
	case "ExecMainStatus":
		o.status, _ = v.(int32)
	case "ExecMainHandoffTimestamp":
		o.exact = true
	}
}

// The values of ExecMainCode; see waitid(2).
const (
	exited = 1 + iota
	killed
	dumped
)

// ended reports whether the program has ended, after it was started.
func (o *observed) ended() bool {
	return o.result == "done" && o.code != 0 && (o.active == "inactive" || o.active == "failed")
}

// ofSystemd reports whether the process ended with one of the exit codes that
// systemd has for programs that it could not run; see systemd.exec(5).
func (o *observed) ofSystemd() bool { return o.code == exited && o.status >= 200 && o.status <= 245 }

// exit is how the program ended.
func (o *observed) exit() Status {
	if o.code == killed || o.code == dumped {
		return Status{Signal: unix.Signal(o.status & 0x7f)}
	}
	return Status{Code: int(o.status & 0xff)}
}
