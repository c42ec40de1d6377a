package namespace

import "golang.org/x/sys/unix"

// Kind is a kind of namespace; see namespaces(7).
type Kind struct {
	Name string // of the link in /proc/PID/ns
	Flag int    // CLONE_NEW…
}

// Kinds are the kinds of namespaces that systemd-nspawn makes for a guest.
func Kinds() []Kind {
	return []Kind{
		{"user", unix.CLONE_NEWUSER}, {"mnt", unix.CLONE_NEWNS}, {"pid", unix.CLONE_NEWPID},
		{"net", unix.CLONE_NEWNET}, {"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS},
		{"cgroup", unix.CLONE_NEWCGROUP},
	}
}
