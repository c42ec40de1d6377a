// Package guest works inside a running guest: it runs programs there, with
// the guest's namespaces, user numbers, capabilities and cgroup, and reads
// the few files of it that it needs. The guest is not trusted: no path in it
// is resolved outside its root, nothing of it is run on the host, and no
// terminal of the host is handed to it.
package guest
