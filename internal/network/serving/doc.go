// Package serving keeps the processes that serve the guests of an instance of
// berth beside the kernel: one for each purpose, as long as a lease needs it,
// started by whoever notices first that there is none. It does not know what
// they do, and where systemd keeps them it is not used.
package serving
