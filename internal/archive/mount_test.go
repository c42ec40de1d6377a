package archive

import (
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// inMountNamespace runs mount and then use on a thread with a private mount
// namespace, which ends with the thread.
func inMountNamespace(t *testing.T, mount func() error, use func()) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = mount()
		}
		if err != nil {
			t.Errorf("mount: %v", err)
			return
		}
		use()
	})
	wg.Wait()
}
