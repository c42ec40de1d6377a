// Package host finds out what this host can do: its kernel, its PID 1, its
// cgroups, its systemd-nspawn. Everything else asks it instead of looking.
package host
