// Package loopback has ports of [::1], and of 127.0.0.1, answered by guests. The
// kernel cannot do that: what goes to the first never leaves the loopback
// interface, and what goes to the second leaves it only by interfaces that allow
// that to everybody on them. A port
// of a range costs a socket, as any other.
package loopback
