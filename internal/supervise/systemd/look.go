package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/container"
)

// unitPath is the object of a unit; see org.freedesktop.systemd1(5).
func unitPath(unit string) godbus.ObjectPath {
	return godbus.ObjectPath("/org/freedesktop/systemd1/unit/" + dbus.PathBusEscape(unit))
}

// patternOf matches the name of a unit, and perhaps of others: whether systemd
// takes a backslash for itself depends on its version.
func patternOf(unit string) string { return strings.ReplaceAll(unit, `\`, "?") }

// look gives the properties of a container's unit that tell what it is at. All
// that there are take systemd and us milliseconds, as the kernel's counts of
// the control group are among them.
func (s *Supervisor) look(ctx context.Context, n container.Name) (map[string]any, error) {
	if _, err := os.Lstat(s.Paths.Run(n)); errors.Is(err, fs.ErrNotExist) {
		if props, err := s.lookAtRest(ctx, n); props != nil || err != nil {
			return props, err
		}
	}
	props, err := s.some(ctx, s.unit(n), "Unit.ActiveState", "Unit.Job", "Unit.StateChangeTimestamp", "Service.MainPID", "Service.ControlGroup")
	if err != nil || text(props, "ActiveState") != "failed" {
		return props, err
	}
	return s.properties(ctx, n)
}

// lookAtRest is look for a container that most likely is at rest, and gives nil
// where it is not. To be asked for by its name, a unit would be read from its
// files.
func (s *Supervisor) lookAtRest(ctx context.Context, n container.Name) (map[string]any, error) {
	var units []dbus.UnitStatus
	err := s.ask(ctx, func(ctx context.Context, l *link) (err error) {
		units, err = l.units.ListUnitsByPatternsContext(ctx, nil, []string{patternOf(s.unit(n))})
		return err
	})
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(units, func(u dbus.UnitStatus) bool { return u.Name == s.unit(n) }) {
		return map[string]any{"ActiveState": "inactive"}, nil
	}
	return nil, nil
}

// some gives some properties of a unit, each named with the last part of its
// interface in front. All are asked for at once.
func (s *Supervisor) some(ctx context.Context, unit string, names ...string) (props map[string]any, err error) {
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		props, err = l.some(ctx, unit, names)
		return err
	})
	return props, err
}

func (l *link) some(ctx context.Context, unit string, names []string) (map[string]any, error) {
	var calls []*godbus.Call
	for _, name := range names {
		kind, property, _ := strings.Cut(name, ".")
		calls = append(calls, l.Object(manager, unitPath(unit)).GoWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0,
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
