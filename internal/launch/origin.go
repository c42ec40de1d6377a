package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/host"
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

// ShowSystem has a running guest see what another system consists of, beside
// all that it sees already. leader is a process of it, and guest its root
// directory. The caller notes in l what the guest sees then.
func ShowSystem(paths state.Paths, l *state.Launched, system container.StorePath, leader int, guest *os.File) error {
	if l.Spec.StoreAccess == container.StoreHost {
		return nil // it sees all there is
	}
	store, more, err := storeOf(paths, l, system)
	if err != nil || !more {
		return err
	}
	mapped, err := host.System().MappedLayers()
	if err != nil {
		return err
	}
	root := rootfs.Root{Dir: filepath.Join(paths.Run(l.Name), "store"), Store: store}
	if base := UIDBase(&l.Record); base != 0 {
		root.Users, root.Unmapped = rootfs.IDs{Base: base, Size: container.IDRange}, !mapped
	}
	_, err = root.CoverStore(leader, guest) // what is lost has been since it was started
	return err
}

// storeOf is all that the guest of l has seen so far, and system; more reports
// whether that has something new.
func storeOf(paths state.Paths, l *state.Launched, system container.StorePath) (store rootfs.Store, more bool, err error) {
	systems := closure.Systems{Paths: paths}
	seen := map[string]bool{}
	var stores []rootfs.Store // one for each directory
	had := append(slices.Clone(l.Shown), l.System)
	for i, s := range append(had, system) {
		isNew := i == len(had)
		c, err := systems.Closure(l.Name, s)
		if err != nil {
			return store, false, err
		}
		at := slices.IndexFunc(stores, func(s rootfs.Store) bool { return s.Dir == c.Dir })
		if at < 0 {
			at, stores = len(stores), append(stores, rootfs.Store{Dir: c.Dir})
		}
		for _, name := range c.Names() {
			if !seen[name] {
				more = isNew
				seen[name], stores[at].Names = true, append(stores[at].Names, name)
			}
		}
	}
	store = stores[0]
	store.More = stores[1:]
	return store, more, nil
}
