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
	switch {
	case rec.Spec.WholeStore():
		root.Store = rootfs.Store{Dir: c.Dir, Whole: true}
	case rec.Spec.NixInGuest == container.NixOwn:
		return setOwn(root, paths, rec, c)
	default:
		root.Store = rootfs.Store{Dir: c.Dir, Names: c.Names()}
	}
	return nil
}

// ShowSystem has a running guest see what another system consists of, beside
// all that it sees already. leader is a process of it, and guest its root
// directory. The caller notes in l what the guest sees then.
func ShowSystem(paths state.Paths, l *state.Launched, system container.StorePath, leader int, guest *os.File) error {
	if l.Spec.WholeStore() {
		return nil // it sees all there is
	}
	store, more, err := storeOf(paths, l.Name, append(slices.Clone(l.Shown), l.System), system)
	if err != nil {
		return err
	}
	if l.Spec.NixInGuest == container.NixOwn {
		if store.Own, err = ownShown(paths, l, system, leader, more); err != nil {
			return err
		}
	}
	if len(more) == 0 && (store.Own == nil || len(store.Own.Given) == 0) {
		return nil
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

// storeOf is all of the systems had, and system; more are the names that only
// that has.
func storeOf(paths state.Paths, n container.Name, had []container.StorePath, system container.StorePath) (store rootfs.Store, more []string, err error) {
	systems := closure.Systems{Paths: paths}
	seen := map[string]bool{}
	var stores []rootfs.Store // one for each directory
	for i, s := range append(slices.Clone(had), system) {
		c, err := systems.Closure(n, s)
		if err != nil {
			return store, nil, err
		}
		at := slices.IndexFunc(stores, func(s rootfs.Store) bool { return s.Dir == c.Dir })
		if at < 0 {
			at, stores = len(stores), append(stores, rootfs.Store{Dir: c.Dir})
		}
		for _, name := range c.Names() {
			if seen[name] {
				continue
			}
			if i == len(had) {
				more = append(more, name)
			}
			seen[name], stores[at].Names = true, append(stores[at].Names, name)
		}
	}
	store = stores[0]
	store.More = stores[1:]
	return store, more, nil
}
