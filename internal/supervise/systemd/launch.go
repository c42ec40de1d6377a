package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/inotify"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/state"
)

// Launch is the command `berth run NAME`, which a unit starts: it becomes
// systemd-nspawn.
func Launch(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, n container.Name) error {
	runtime.LockOSThread() // that of Assemble becomes systemd-nspawn
	signal.Reset()         // a stop ends this process, whatever it is at
	rec, err := state.ReadRecord(paths.Container(n))
	if err != nil {
		return container.Named(n, err)
	}
	if err := os.MkdirAll(paths.Run(n), 0o700); err != nil {
		return err
	}
	if err := redirectStderr(paths.Stderr(n)); err != nil {
		return err
	}
	if err := pauseAfterFailure(paths, rec); err != nil {
		return err
	}
	if err := inotify.Reserve(h, 0); err != nil {
		return err
	}
	register, err := prepareMachined(ctx, paths.Machine(n))
	if err != nil {
		return err
	}
	// What the root is made of is mounted for this process alone. PrivateMounts=
	// in the unit does the same for each of its commands, in 20 ms each.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	c, err := launch.Assemble(paths, rec, launch.Options{
		Register: register, LostLimits: lostLimits(h, rec.Spec.Limits), Notify: os.Getenv("NOTIFY_SOCKET"), Credentials: os.Getenv("CREDENTIALS_DIRECTORY"),
	})
	if err != nil {
		return err
	}
	if limit := rec.Spec.TimeoutStartSec; c.Updates && limit != 0 && limit != container.Infinity {
		if err := extend(updateLimit); err != nil {
			return err
		}
	}
	if c.Gate != nil {
		if err := leaveAtGate(paths, n, c.Gate); err != nil {
			return err
		}
	}
	return unix.Exec(c.Path, c.Args, c.Env)
}

// updateLimit is how long a guest may take to install an update while it
// boots, before it reboots by itself.
const updateLimit = 24 * time.Hour

// extend asks systemd for more time until READY=1; see EXTEND_TIMEOUT_USEC in
// sd_notify(3). systemd-nspawn passes nothing of this kind on from the guest.
func extend(limit time.Duration) error {
	if _, err := daemon.SdNotify(false, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", limit.Microseconds())); err != nil {
		return fmt.Errorf("extend the time to start: %w", err)
	}
	return nil
}

// lostLimits says, for people, which limits this host cannot hold.
func lostLimits(h cgroup.Hierarchies, l container.Limits) string {
	if missing := h.Missing(l); missing != nil {
		return missing.Error()
	}
	return ""
}

func redirectStderr(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.Dup3(int(f.Fd()), unix.Stderr, 0), f.Close())
}

// pauseAfterFailure waits before a guest that failed is started again. That
// does not count for the time it has until it is ready.
func pauseAfterFailure(paths state.Paths, rec *state.Record) error {
	t, err := readTally(tallyFile(paths, rec.Name))
	if err != nil {
		return err
	}
	pause, limit := t.pause(), rec.Spec.TimeoutStartSec
	if pause == 0 {
		return nil
	}
	if limit != container.Infinity && limit != 0 {
		if err := extend(pause + time.Duration(limit)); err != nil {
			return err
		}
	}
	time.Sleep(pause) // a stop ends it with the process
	t.Waiting = false
	return state.WriteRuntimeJSON(tallyFile(paths, rec.Name), t)
}

// machined is where systemd-machined is on the bus; see
// org.freedesktop.machine1(5).
const machined = "org.freedesktop.machine1"

// machinedLimit is the time that it has to answer. A guest is not held up for
// longer by a bus that hangs.
const machinedLimit = 10 * time.Second

// prepareMachined makes room for a machine of this name, and reports whether
// there is a systemd-machined to register it with. One that the last run of
// the container left would make systemd-nspawn fail with "already exists".
func prepareMachined(ctx context.Context, name string) (register bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, machinedLimit)
	defer cancel()
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
		return true, nil // gone meanwhile
	}
	if ctx.Err() != nil {
		return false, nil // a guest without a name there is better than none
	}
	return err == nil, err
}
