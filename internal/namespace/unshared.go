package namespace

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Unshared runs f on a thread of its own that has entered new namespaces of
// the CLONE_NEW… kinds in flags. The thread ends with f: only what f starts,
// and what it keeps open, is in them then.
func Unshared(flags int, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The process' first thread cannot end before the process. It is
			// held meanwhile, so that another one comes.
			result <- Unshared(flags, f)
			runtime.UnlockOSThread()
			return
		}
		if err := unix.Unshare(flags); err != nil {
			result <- fmt.Errorf("new namespaces: %w", err)
			return
		}
		result <- f() // still locked, the thread ends
	}()
	return <-result
}

// InMounts runs f on a thread of its own in the mount namespace of the process
// pid. What f has other threads do is in that of this process.
func InMounts(pid int, f func() error) error {
	return Unshared(unix.CLONE_FS, func() error {
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter the mounts of process %d: %w", pid, err)
		}
		return f()
	})
}

// InNetwork runs f on a thread of its own in the network namespace that is
// mounted at path.
func InNetwork(path string, f func() error) error {
	return Unshared(0, func() error {
		if err := EnterNetwork(path); err != nil {
			return err
		}
		return f()
	})
}

// EnterNetwork moves the calling thread, which nothing else uses, to the network
// namespace that is mounted at path.
func EnterNetwork(path string) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", path, err)
	}
	return nil
}
