package engine

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// TestKeepsStore: a store of a guest's own is refused where it could not be kept,
// before anything is made.
func TestKeepsStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := container.Spec{NixInGuest: container.NixOwn}
	on := func(root string) *Engine { return &Engine{Paths: state.Paths{Root: root}} }
	layers := "lowerdir=" + t.TempDir() + ":" + t.TempDir()
	if err := unix.Mount("test", dir, "overlay", 0, layers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, unix.Unmount(dir, 0)) })
	err := on(filepath.Join(dir, "missing")).nixObstacle(own)
	if want := "nixInGuest: " + dir + " is on overlayfs, which cannot keep a store of the guest's own"; err == nil || err.Error() != want {
		t.Errorf("%v, not %s", err, want)
	}
	own.Ephemeral = true
	check(t, on(dir).keepsStore(own))
	own.Ephemeral = false
	check(t, on("/dev/shm").keepsStore(own))
}
