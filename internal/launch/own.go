package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/preinit"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// setOwn gives the guest a store of its own upon its closure, which is now. What
// earlier systems consisted of stays with it, for its own may need that, until it
// has removed all of one.
func setOwn(root *rootfs.Root, paths state.Paths, rec *state.Record, now closure.Closure) error {
	if rec.Spec.Ephemeral {
		root.Store = rootfs.Store{Dir: now.Dir, Names: now.Names(), Own: &rootfs.Own{}}
		return nil
	}
	dir := paths.OwnStore(rec.Name)
	if err := rootfs.ClearOwn(dir); err != nil {
		return err
	}
	had, err := stillUsed(paths, rec.Name, dir, now)
	if err != nil {
		return err
	}
	if root.Store, _, err = storeOf(paths, rec.Name, had, rec.System); err != nil {
		return err
	}
	root.Store.Own = &rootfs.Own{Dir: dir, Given: now.Names()}
	return state.WriteGiven(dir, append(had, rec.System))
}

// stillUsed are the systems, beside that of now, of which the guest with its own
// store in dir has something that neither now nor a newer one has.
func stillUsed(paths state.Paths, n container.Name, dir string, now closure.Closure) ([]container.StorePath, error) {
	given, err := state.ReadGiven(dir)
	if err != nil {
		return nil, err
	}
	seen, err := rootfs.Whiteouts(rootfs.Own{Dir: dir})
	if err != nil {
		return nil, err
	}
	for _, name := range now.Names() {
		seen[name] = true
	}
	var out []container.StorePath
	for _, s := range slices.Backward(given) {
		if s == now.System {
			continue
		}
		c, err := closure.Systems{Paths: paths}.Closure(n, s)
		if err != nil {
			return nil, err
		}
		needed := false
		for _, name := range c.Names() {
			needed = needed || !seen[name]
			seen[name] = true
		}
		if needed {
			out = append(out, s)
		}
	}
	slices.Reverse(out)
	return out, nil
}

// ownShown is the running guest's own store for when it is to see system, whose
// names more it does not see yet. What it has removed of it comes back.
func ownShown(paths state.Paths, l *state.Launched, system container.StorePath, leader int, more []string) (*rootfs.Own, error) {
	own := &rootfs.Own{Dir: paths.OwnStore(l.Name), Given: more}
	if l.Spec.Ephemeral {
		nspawn, err := process.Parent(leader)
		if err != nil {
			return nil, err
		}
		own.Of, own.Dir = nspawn, rootfs.Root{Dir: filepath.Join(paths.Run(l.Name), MountDir)}.OwnDir()
	}
	gone, err := rootfs.Whiteouts(*own)
	if err != nil {
		return nil, err
	}
	c, err := closure.Systems{Paths: paths}.Closure(l.Name, system)
	if err != nil {
		return nil, err
	}
	for _, name := range c.Names() {
		if gone[name] && !slices.Contains(own.Given, name) {
			own.Given = append(own.Given, name)
		}
	}
	if l.Spec.Ephemeral || len(own.Given) == 0 {
		return own, nil
	}
	given, err := state.ReadGiven(own.Dir) // before the guest can have made something that needs it
	if err != nil {
		return nil, err
	}
	given = slices.DeleteFunc(given, func(s container.StorePath) bool { return s == system })
	return own, state.WriteGiven(own.Dir, append(given, system))
}

// shown are the systems, beside that of rec, that the guest sees when it starts.
func shown(paths state.Paths, rec *state.Record) ([]container.StorePath, error) {
	if rec.System == "" || rec.Spec.NixInGuest != container.NixOwn || rec.Spec.Ephemeral {
		return nil, nil
	}
	given, err := state.ReadGiven(paths.OwnStore(rec.Name))
	return slices.DeleteFunc(given, func(s container.StorePath) bool { return s == rec.System }), err
}

// placeRegistration has what the guest's own Nix is told in the directory that
// the guest sees as preinit.Dir, and tells its first process so.
func placeRegistration(paths state.Paths, rec *state.Record, dir string, task *preinit.Task) error {
	in, err := os.Open(closure.Systems{Paths: paths}.Registration(rec.Name, rec.System))
	if errors.Is(err, os.ErrNotExist) {
		return &container.Error{Err: errors.New("nixInGuest: what its Nix is to be told is not known yet"),
			Hint: fmt.Sprintf("berth start %s finds out", rec.Name)}
	} else if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, preinit.Registration), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	task.Nix = string(rec.System)
	return errors.Join(err, out.Close())
}
