package names

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/state"
)

// Options say where the process finds what it needs.
type Options struct {
	Paths state.Paths
	// Hosts, Resolv and Switch are the host's hosts(5), resolv.conf(5) and
	// nsswitch.conf(5).
	Hosts, Resolv, Switch string
	// Bus is whether systemd-resolved is looked for.
	Bus bool
	Log *slog.Logger
}

// HostOptions are those of the host itself. A berth with a root of its own uses
// the files below etc there, as far as there are any.
func HostOptions(paths state.Paths, log *slog.Logger) Options {
	o := Options{Paths: paths, Log: log, Bus: true, Resolv: hostFile(paths, "resolv.conf"), Switch: "/etc/nsswitch.conf", Hosts: HostsFile(paths)}
	if o.Hosts != "/etc/hosts" {
		o.Bus = false
	}
	return o
}

// HostsFile is where the host finds names of guests, where it does not ask for
// them.
func HostsFile(paths state.Paths) string { return hostFile(paths, "hosts") }

func hostFile(paths state.Paths, name string) string {
	own := filepath.Join(paths.Root, "etc", name)
	if _, err := os.Lstat(own); err == nil {
		return own
	}
	return filepath.Join("/etc", name)
}
