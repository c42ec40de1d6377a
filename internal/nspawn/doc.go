// Package nspawn turns a container's spec into the arguments and environment
// of systemd-nspawn, for each version of it. It is pure: it looks at nothing
// and runs nothing.
package nspawn
