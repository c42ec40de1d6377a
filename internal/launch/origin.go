package launch

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// setOrigin says what the container's root starts from: an image, or nothing
// but a store.
func setOrigin(root *rootfs.Root, paths state.Paths, rec *state.Record) error {
	if rec.System == "" {
		root.Image = image.Rootfs(paths.Images(), rec.Digest)
		return nil
	}
	c, err := closure.Systems{Paths: paths}.Closure(rec.Name, rec.System)
	if errors.Is(err, fs.ErrNotExist) {
		return &container.Error{Err: fmt.Errorf("system: what %s consists of is not known yet", rec.System.Short()),
			Hint: fmt.Sprintf("berth start %s finds out", rec.Name)}
	} else if err != nil {
		return err
	}
	if root.Store.Dir = c.Dir; rec.Spec.StoreAccess == container.StoreHost {
		root.Store.Whole = true
		return nil
	}
	root.Store.Names = c.Names()
	return nil
}
