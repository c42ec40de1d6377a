package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

const ownersFile = "owners.json"

// owners is the file of this name beside a container's changes. It is there if
// they were made under a kernel without id-mapped layers: their owners on disk
// then are not the guest's own numbers but those from Base on.
type owners struct {
	Base uint32 `json:"base"`
}

// owned reports whether the owners in the root's changes are of the guest's
// range, which they are for good once nspawn has changed them.
func owned(root rootfs.Root) (bool, error) {
	file := filepath.Join(root.Changes, ownersFile)
	var o owners
	err := state.ReadJSON(file, &o)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !root.Unmapped:
		return false, nil
	case errors.Is(err, fs.ErrNotExist): // before the first owner changes
		return true, state.WriteJSON(file, owners{root.Users.Base})
	case err != nil:
		return false, err
	case o.Base != root.Users.Base:
		return false, &container.Error{
			Err:  fmt.Errorf("privateUsers: the files of this container belong to the users from %d on, since it has run under a kernel older than Linux 5.19", o.Base),
			Hint: fmt.Sprintf("set privateUsers to %d", o.Base),
		}
	}
	return true, nil
}

// KeepOwners says that the owners in a container's root are already of the range
// from base on.
func KeepOwners(paths state.Paths, n container.Name, base uint32) error {
	return state.WriteJSON(filepath.Join(paths.Container(n), state.Changes, ownersFile), owners{base})
}
