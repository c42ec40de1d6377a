package systemd

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/container"
)

// unitPath is the object of a unit; see org.freedesktop.systemd1(5).
func unitPath(unit string) godbus.ObjectPath {
	return godbus.ObjectPath("/org/freedesktop/systemd1/unit/" + dbus.PathBusEscape(unit))
}

// look gives the properties of a container's unit that tell what it is at, with
// JobType in addition, as ListUnitsByPatterns has it. All that there are take
// systemd and us milliseconds, as the kernel's counts of the control group are
// among them.
func (s *Supervisor) look(ctx context.Context, n container.Name) (props map[string]any, err error) {
	if _, err := os.Lstat(s.Paths.Run(n)); errors.Is(err, fs.ErrNotExist) { // most likely it is at rest
		// To be asked for by its name, a unit would be read from its files.
		if props, err := s.some(ctx, s.unit(n)); err != nil || props["ActiveState"] == "inactive" {
			return props, err
		}
	}
	props, err = s.some(ctx, s.unit(n), "Unit.StateChangeTimestamp", "Service.MainPID", "Service.ControlGroup")
	if err != nil || text(props, "ActiveState") != "failed" {
		return props, err
	}
	all, err := s.properties(ctx, n)
	if err == nil {
		maps.Copy(all, map[string]any{"ActiveState": props["ActiveState"], "JobType": props["JobType"]})
	}
	return all, err
}

// some gives the ActiveState and the JobType of a unit, as they are at one
// moment, and the properties of these names, each with the last part of its
// interface in front, as they were before that. All are asked for at once.
func (s *Supervisor) some(ctx context.Context, unit string, names ...string) (props map[string]any, err error) {
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		props, err = l.some(ctx, unit, names)
		return err
	})
	return props, err
}

func (l *link) some(ctx context.Context, unit string, names []string) (map[string]any, error) {
	call := func(path godbus.ObjectPath, method string, args ...any) *godbus.Call {
		return l.Object(manager, path).GoWithContext(ctx, method, 0, make(chan *godbus.Call, 1), args...)
	}
	var calls []*godbus.Call
	for _, name := range names {
		kind, property, _ := strings.Cut(name, ".")
		calls = append(calls, call(unitPath(unit), "org.freedesktop.DBus.Properties.Get", manager+"."+kind, property))
	}
	listing := call(managerPath, manager+".Manager.ListUnitsByPatterns", []string{}, []string{unit})
	props := map[string]any{}
	for i, name := range names {
		var v godbus.Variant
		if err := (<-calls[i].Done).Store(&v); err != nil {
			return nil, err
		}
		_, property, _ := strings.Cut(name, ".")
		props[property] = v.Value()
	}
	var listed []dbus.UnitStatus
	if err := (<-listing.Done).Store(&listed); err != nil {
		return nil, err
	}
	props["ActiveState"], props["JobType"] = "inactive", ""
	for _, u := range listed {
		if u.Name == unit {
			props["ActiveState"], props["JobType"] = u.ActiveState, u.JobType
		}
	}
	return props, nil
}
