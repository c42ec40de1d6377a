package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/internal/state"
)

// advice is what a network manager of the host is told, so that it leaves
// berth's links alone.
type advice struct {
	sign string // a directory that is there where the manager may be
	file string
	text func(bridges []string) string
	tell func() error // that the file has changed
}

func advices(paths state.Paths) []advice {
	name := "00-" + paths.Instance() + "-links" // before those of others, of which the first that matches counts
	return []advice{
		{"/run/systemd/system", "/run/systemd/network/" + name + ".network", networkdText, reloadNetworkd},
		{"/run/NetworkManager", "/run/udev/rules.d/" + name + ".rules", udevText, reloadUdev},
	}
}

// networkdText matches alternative names, so that it holds for links to come:
// systemd-networkd waits for udev, and then asks for all names, before it does
// anything with a link. Bridges are there by their own names too.
func networkdText(bridges []string) string {
	return "# Links of berth, which sets them up itself.\n[Match]\nName=" + strings.Join(append([]string{prefix + "*"}, bridges...), " ") + "\n\n[Link]\nUnmanaged=yes\n"
}

// udevText gives interfaces a property that NetworkManager reads.
func udevText(bridges []string) string {
	return "# Links of berth, which sets them up itself.\n" +
		`ACTION!="remove", SUBSYSTEM=="net", KERNEL=="` + strings.Join(append([]string{"ve-*"}, bridges...), "|") + `", ENV{NM_UNMANAGED}="1"` + "\n"
}

// manage tells the host's network managers of berth's links, those of l among
// them, before they are made.
func manage(paths state.Paths, l Lease) error {
	all, err := ReadLeases(paths)
	if err != nil {
		return err
	}
	bridges := bridgesOf(append(all, l))
	for _, a := range advices(paths) {
		if _, err := os.Stat(a.sign); err != nil {
			continue
		}
		text := a.text(bridges)
		if old, err := os.ReadFile(a.file); err == nil && string(old) == text {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(a.file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(a.file, []byte(text), 0o644); err != nil {
			return err
		}
		if err := a.tell(); err != nil {
			return fmt.Errorf("%s: %w", a.file, err)
		}
	}
	return nil
}

// bridgesOf are the bridges of berth's own in leases, sorted, and the veths
// that are not called as berth calls them.
func bridgesOf(all []Lease) []string {
	var out []string
	for _, l := range all {
		for _, k := range l.Links {
			if k.Network != "" {
				out = append(out, k.Bridge)
			}
			if (k.Kind == Bridged || k.Kind == Point) && !strings.HasPrefix(k.Host, "ve-") {
				out = append(out, k.Host)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unmanage takes back what manage told, when no link is left.
func unmanage(paths state.Paths) error {
	var errs []error
	for _, a := range advices(paths) {
		errs = append(errs, state.RemoveFile(a.file))
	}
	return errors.Join(errs...)
}

// tellLimit bounds how long a manager may take to read a file.
const tellLimit = 10 * time.Second

const networkd = "org.freedesktop.network1"

// onBus reports whether somebody runs who has a name on D-Bus.
func onBus(ctx context.Context, conn *dbus.Conn, name string) (runs bool, err error) {
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&runs)
	return runs, err
}

// reloadNetworkd has systemd-networkd read its files again, where it runs: one
// that starts later reads them then.
func reloadNetworkd() error {
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil // without a bus it is just starting
	}
	defer conn.Close()
	if runs, err := onBus(ctx, conn, networkd); err != nil || !runs {
		return err
	}
	err = conn.Object(networkd, "/org/freedesktop/network1").CallWithContext(ctx, networkd+".Manager.Reload", 0).Err
	if known, ok := errors.AsType[dbus.Error](err); ok && known.Name == "org.freedesktop.DBus.Error.UnknownMethod" {
		return nil // before systemd 244; its files are read when it starts
	}
	return err
}

// reloadUdev has udev read its rules again, which otherwise looks for new ones
// every three seconds.
func reloadUdev() error {
	if _, err := os.Stat("/run/udev/control"); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "udevadm", "control", "--reload").CombinedOutput()
	if err != nil {
		return fmt.Errorf("udevadm control --reload: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
