package launch

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// nixState is where the host's Nix has what is no package.
const nixState = "/nix/var/nix"

// NixRoots are the directories of all guests that use the host's Nix daemon, with
// what is to be saved from its garbage collection: it follows the links in them.
func NixRoots(paths state.Paths) string {
	return filepath.Join(nixState, "gcroots", paths.Instance())
}

// NixRoot is the directory of one container there.
func NixRoot(paths state.Paths, n container.Name) string {
	return filepath.Join(NixRoots(paths), string(n))
}

// daemonBinds are what a guest needs of the host's Nix: the directory of its
// socket, which a daemon that starts anew makes anew, and two of its own, so that
// the host keeps what the guest's roots and profiles lead to.
func daemonBinds(paths state.Paths, rec *state.Record) ([]rootfs.Bind, error) {
	if rec.System == "" || rec.Spec.NixInGuest != container.NixDaemon {
		return nil, nil
	}
	sockets := filepath.Dir(container.DaemonSocket)
	binds := []rootfs.Bind{{Source: sockets, Target: sockets, ReadOnly: true}}
	// A file of the guest's root there is the host root's, whatever its mode is:
	// nobody else may get to it.
	root := NixRoot(paths, rec.Name)
	err := os.MkdirAll(NixRoots(paths), 0o700)
	if rec.Spec.Ephemeral { // the guest before was another one
		err = errors.Join(err, state.RemoveTree(root))
	}
	for _, name := range []string{"gcroots", "profiles"} {
		dir := filepath.Join(root, name)
		err = errors.Join(err, os.MkdirAll(dir, 0o755))
		binds = append(binds, rootfs.Bind{Source: dir, Target: filepath.Join(nixState, name)})
	}
	return binds, err
}

// dirsOf are the mount points of binds, and what is between them and /nix, which
// the guest finds as its root's.
func dirsOf(binds []rootfs.Bind) []string {
	if len(binds) == 0 {
		return nil
	}
	dirs := []string{"nix/var", "nix/var/nix"}
	for _, b := range binds {
		dirs = append(dirs, b.Target[1:])
	}
	return dirs
}
