package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/state"
)

// Launch is the command `berth run NAME`, which a unit starts: it becomes
// systemd-nspawn.
func Launch(ctx context.Context, paths state.Paths, n container.Name) error {
	register, err := prepareMachined(ctx, paths.Machine(n))
	if err != nil {
		return err
	}
	return launch.Run(paths, n, launch.Options{Register: register, Notify: os.Getenv("NOTIFY_SOCKET")})
}

// machined is where systemd-machined is on the bus; see
// org.freedesktop.machine1(5).
const machined = "org.freedesktop.machine1"

// prepareMachined makes room for a machine of this name, and reports whether
// there is a systemd-machined to register it with. One that the last run of
// the container left would make systemd-nspawn fail with "already exists".
func prepareMachined(ctx context.Context, name string) (register bool, err error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return false, nil // no bus, no machined
	}
	defer conn.Close()
	manager := conn.Object(machined, "/org/freedesktop/machine1")
	var path dbus.ObjectPath
	err = manager.CallWithContext(ctx, machined+".Manager.GetMachine", 0, name).Store(&path)
	var known dbus.Error
	switch {
	case errors.As(err, &known) && known.Name == machined+".NoSuchMachine":
		return true, nil
	case err != nil:
		return false, nil // it cannot be started
	}
	if unit, err := conn.Object(machined, path).GetProperty(machined + ".Machine.Unit"); err == nil {
		if u, _ := unit.Value().(string); u != "" && !ownUnit(u) {
			return false, fmt.Errorf("systemd-machined has a machine %s already, which is not of berth: it belongs to %s", name, u)
		}
	}
	err = manager.CallWithContext(ctx, machined+".Manager.UnregisterMachine", 0, name).Err
	if errors.As(err, &known) && known.Name == machined+".NoSuchMachine" {
		err = nil // gone meanwhile
	}
	return err == nil, err
}
