package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// base is the host's number of a test guest's root.
const base = 700_000

// ids is the range of a test guest.
func ids() IDs { return IDs{base, 1 << 16} }

// isolated calls f on a thread with a mount namespace of its own, where it may
// mount what it likes. All of it ends with f. f must not call t.FailNow.
func isolated(t *testing.T, f func() error) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // and never unlocked
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = Isolate()
		}
		if err == nil {
			err = f()
		}
		if err != nil {
			t.Errorf("as root, with mounts: %v", err)
		}
	})
	wg.Wait()
}

// newRoot is a guest with an image that has files of several owners.
func newRoot(t *testing.T, dir string) Root {
	t.Helper()
	r := Root{Dir: filepath.Join(dir, "mnt"), Image: filepath.Join(dir, "image"), Changes: filepath.Join(dir, "changes"), Users: ids()}
	for _, d := range []string{r.Dir, r.Image + "/etc", r.Image + "/home/user", r.Changes} {
		must(t, os.MkdirAll(d, 0o755))
	}
	must(t, MakeChanges(r.Changes))
	must(t, os.WriteFile(r.Image+"/etc/passwd", []byte("image"), 0o644))
	must(t, os.WriteFile(r.Image+"/home/user/file", []byte("image"), 0o600))
	must(t, os.WriteFile(r.Image+"/etc/su", nil, 0o755))
	must(t, os.Chmod(r.Image+"/etc/su", 0o755|os.ModeSetuid))
	must(t, os.Chown(r.Image+"/home/user", 1000, 100))
	must(t, os.Chown(r.Image+"/home/user/file", 1000, 65535))
	return r
}

// owner is the user and the group of the file at path, or -1 without one.
func owner(path string) [2]int {
	info, err := os.Lstat(path)
	if err != nil {
		return [2]int{-1, -1}
	}
	st := info.Sys().(*syscall.Stat_t)
	return [2]int{int(st.Uid), int(st.Gid)}
}

// wantOwners compares the owners of files below dir.
func wantOwners(t *testing.T, dir string, want map[string][2]int) {
	t.Helper()
	for name, o := range want {
		if got := owner(filepath.Join(dir, name)); got != o {
			t.Errorf("%s is owned by %v, not %v", name, got, o)
		}
	}
}

// wantText compares the content of the file at path.
func wantText(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s is %q, not %q: %v", path, b, want, err)
	}
}

// write writes to a file that exists.
func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
