// Package namespace makes namespaces and starts programs inside the
// namespaces of a running guest. It is the one place with code that runs
// between fork and exec: a process with more than one thread, as every Go
// program is, may not change its user or mount namespace.
package namespace
