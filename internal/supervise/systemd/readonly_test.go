package systemd

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadOnly: units that a configuration makes, as on NixOS, are not berth's
// to write.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if readOnly(dir) || readOnly(dir+"/missing") {
		t.Error("a directory that anybody may make files in")
	}
	for root, want := range map[string]string{"/": dir, "/srv": "/run/systemd/system"} {
		if got := ownDirIn(root, dir); got != want {
			t.Errorf("below %s: %s", root, got)
		}
	}
	store, link := t.TempDir(), dir+"/link"
	must(t, unix.Mount("none", store, "tmpfs", unix.MS_RDONLY, ""))
	t.Cleanup(func() { must(t, unix.Unmount(store, 0)) })
	must(t, os.Symlink(store, link))
	if got := ownDirIn("/", link); got != "/run/systemd/system" {
		t.Errorf("behind a link to what is read-only: %s", got)
	}
}
