package systemd

import (
	"context"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// unitPath is the object of a unit; see org.freedesktop.systemd1(5).
func unitPath(unit string) godbus.ObjectPath {
	return godbus.ObjectPath("/org/freedesktop/systemd1/unit/" + dbus.PathBusEscape(unit))
}

// patternOf matches the name of one unit alone; see fnmatch(3).
func patternOf(unit string) string { return strings.ReplaceAll(unit, `\`, `\\`) }

// look gives the properties of a unit that tell what it is at. All that there
// are take systemd and us milliseconds, as the kernel's counts of the control
// group are among them; and a unit that is not loaded would be read from its
// files.
func (s *Supervisor) look(ctx context.Context, unit string) (map[string]any, error) {
	conn, err := s.conn()
	if err != nil {
		return nil, err
	}
	units, err := conn.ListUnitsByPatternsContext(ctx, nil, []string{patternOf(unit)})
	if err != nil {
		return nil, err
	}
	if len(units) == 0 {
		return map[string]any{"ActiveState": "inactive"}, nil
	}
	u := units[0]
	switch u.ActiveState {
	case "failed":
		return conn.GetAllPropertiesContext(ctx, unit)
	case "inactive":
		return map[string]any{"ActiveState": u.ActiveState, "Job": []any{u.JobId}}, nil
	}
	props, err := s.ask(ctx, unit, "Unit.StateChangeTimestamp", "Service.MainPID", "Service.ControlGroup")
	if err != nil {
		return nil, err
	}
	props["ActiveState"] = u.ActiveState
	return props, nil
}

// ask gives some properties of a unit, each named with the last part of its
// interface in front. All are asked for at once.
func (s *Supervisor) ask(ctx context.Context, unit string, names ...string) (map[string]any, error) {
	bus, err := s.bus()
	if err != nil {
		return nil, err
	}
	var calls []*godbus.Call
	for _, name := range names {
		kind, property, _ := strings.Cut(name, ".")
		calls = append(calls, bus.Object(manager, unitPath(unit)).GoWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0,
			make(chan *godbus.Call, 1), manager+"."+kind, property))
	}
	props := map[string]any{}
	for i, name := range names {
		var v godbus.Variant
		if err := (<-calls[i].Done).Store(&v); err != nil {
			return nil, err
		}
		_, property, _ := strings.Cut(name, ".")
		props[property] = v.Value()
	}
	return props, nil
}
