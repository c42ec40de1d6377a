// Package embedded is the supervisor for machines whose PID 1 is not systemd:
// each container has a small process of its own, the shim, in a session and a
// cgroup of its own. The shim starts the container, hears when the guest is
// ready, starts it again when it fails or reboots, and cleans up behind it.
// It takes signals and writes a status file; it serves nothing.
package embedded
