// Package loopback has ports of [::1] answered by guests. The kernel cannot do
// that: what goes to that address never leaves the loopback interface. A port
// of a range costs a socket, as any other.
package loopback
