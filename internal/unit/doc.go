// Package unit runs programs as transient units of a systemd that is not
// trusted: that of a guest. It talks to its private socket, of which it is
// given a connection. What systemd answers is bounded in size and time, and
// says only how a program ended; no answer makes this side do anything.
package unit
