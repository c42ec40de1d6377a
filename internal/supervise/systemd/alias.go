package systemd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// aliasTemplate is the template of the units in which NixOS has containers.
// Where nobody else has it, it leads to berth's, so that what people know by
// heart, and have in scripts, finds their containers.
const aliasTemplate = "container@.service"

// NixosUnit is the name that NixOS gives to the unit of a container.
func NixosUnit(n container.Name) string { return "container@" + string(n) + ".service" }

// hasAlias reports whether a container can be asked for by that name: one with
// a NixOS, of the machine's own berth.
func hasAlias(paths state.Paths, rec *state.Record) bool {
	return paths.Root == "/" && rec.System != ""
}

// isAlias reports whether what somebody calls unit is a unit of some berth, of
// another name.
func isAlias(unit, id string) bool { return unit != id && ownUnit(id) }

// aliased is the unit that the alias leads to.
func aliased() string { return Template(state.Paths{Root: "/"}) }

// ensureAlias makes the alias in a directory, unless there is something of this
// name in one of dirs, and returns its path if it did.
func ensureAlias(dirs []string, dir string) (made string, err error) {
	for _, d := range dirs {
		if _, err := os.Lstat(filepath.Join(d, aliasTemplate)); !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	path := filepath.Join(dir, aliasTemplate)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	err = os.Symlink(aliased(), path)
	if errors.Is(err, fs.ErrExist) { // by another berth, just now
		return "", nil
	}
	return path, err
}

// removeAlias removes it from a directory, and returns its path if it was there.
func removeAlias(dir string) (removed string, err error) {
	path := filepath.Join(dir, aliasTemplate)
	if to, err := os.Readlink(path); err != nil || filepath.Base(to) != aliased() {
		return "", nil // it is somebody else's
	}
	return path, os.Remove(path)
}
