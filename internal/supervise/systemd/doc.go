// Package systemd is the supervisor for machines whose PID 1 is systemd: each
// container is an instance of one template unit, whose main process is
// systemd-nspawn itself. berth writes a drop-in for each container, asks for
// jobs over D-Bus and hears how they end; it keeps no process of its own.
// What systemd does not decide as berth does, whether a guest that failed is
// started again, a command decides that the unit runs after each run.
package systemd
