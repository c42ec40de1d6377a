package nixos

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
	"github.com/berth-containers/berth/internal/declare/conf"
	"github.com/berth-containers/berth/internal/state"
)

// Place is where the parts of one container are, whether they are there or
// not.
type Place struct {
	Name container.Name
	// Conf declares the container.
	Conf string
	// Root is the guest's root directory.
	Root string
	// Profile is the directory with the profile called system.
	Profile string
	// GCRoots is where the guest keeps store paths from collection.
	GCRoots string
	// Module is the NixOS module of one that was not made of a flake.
	Module string
}

// dirs are a directory of files NAME.conf, and that of the roots.
type dirs struct {
	conf, roots string
	shared      bool // with programs that have nothing to do with it
}

// kept are the directories, that of today first. The second is that of hosts
// whose stateVersion is older than 22.05, and Podman's too.
func kept(p state.Paths) [2]dirs {
	at := func(path string) string { return filepath.Join(p.Root, path) }
	return [2]dirs{
		{at("etc/nixos-containers"), at("var/lib/nixos-containers"), false},
		{at("etc/containers"), at("var/lib/containers"), true},
	}
}

// New is where a new container is made.
func New(p state.Paths, n container.Name) Place { return placeIn(p, kept(p)[0], n) }

func placeIn(p state.Paths, d dirs, n container.Name) Place {
	file := func(dir, suffix string) string { return filepath.Join(dir, string(n)+suffix) }
	return Place{
		Name: n, Conf: file(d.conf, ".conf"), Root: file(d.roots, ""), Module: file(d.conf, ".nix"),
		Profile: file(filepath.Join(p.Root, "nix/var/nix/profiles/per-container"), ""),
		GCRoots: file(filepath.Join(p.Root, "nix/var/nix/gcroots/per-container"), ""),
	}
}

// Find looks for a container. The error where there is none matches
// container.ErrNotFound.
func Find(p state.Paths, n container.Name) (Place, error) {
	for _, d := range kept(p) {
		place := placeIn(p, d, n)
		_, err := os.Stat(place.Conf)
		switch {
		case err == nil && (!d.shared || isOurs(place.Conf)):
			return place, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return Place{}, err
		}
	}
	return Place{}, container.ErrNotFound
}

// At is the place whose Conf is at path, if it can be one.
func At(p state.Paths, path string) (Place, bool) {
	for _, d := range kept(p) {
		name, isConf := strings.CutSuffix(filepath.Base(path), ".conf")
		n, err := container.ParseName(name)
		if isConf && err == nil && filepath.Dir(path) == d.conf {
			return placeIn(p, d, n), true
		}
	}
	return Place{}, false
}

// Names are those of all containers, sorted, as their files have them: not
// every one is a container.Name.
func Names(p state.Paths) ([]string, error) {
	var out []string
	for _, d := range kept(p) {
		entries, err := os.ReadDir(d.conf)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name, isConf := strings.CutSuffix(e.Name(), ".conf")
			if !isConf || name == "" || strings.HasPrefix(name, ".") || d.shared && !isOurs(filepath.Join(d.conf, e.Name())) {
				continue
			}
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// isOurs tells a container's file from others by its keys.
func isOurs(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	all, err := conf.Parse(text)
	return err == nil && slices.ContainsFunc(all, func(a conf.Assignment) bool { return slices.Contains(conf.Known(), a.Key) })
}

// Owner is who declared the container.
func (c Place) Owner() container.Owner { return container.OwnerFile(c.Conf) }

// Declarative reports whether the configuration of the host made the
// container, so that nothing but that may change it.
func (c Place) Declarative() bool {
	target, err := filepath.EvalSymlinks(c.Conf)
	return err == nil && strings.HasPrefix(target, container.StoreDir+"/") || unix.Access(c.Conf, unix.W_OK) == unix.EROFS
}

// Read gives what the file says.
func (c Place) Read() ([]conf.Assignment, error) {
	text, err := os.ReadFile(c.Conf)
	if err != nil {
		return nil, err
	}
	all, err := conf.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Conf, err)
	}
	return all, nil
}

// Declared is what the file declares. It is an error if nothing says what
// system the guest boots.
func (c Place) Declared() (declare.Declared, error) {
	system, err := c.System()
	if err != nil {
		system = Example
	}
	d, parseErr := c.DeclaredWith(system)
	if parseErr == nil && d.Spec.System == string(Example) {
		parseErr = &container.Error{Subject: string(c.Name), Err: fmt.Errorf("no system has been built for it: %s leads to none", c.SystemLink()),
			Hint: fmt.Sprintf("nixos-container update %s builds one", c.Name)}
	}
	return d, parseErr
}

// Example stands for a system that has not been built yet.
const Example = container.StorePath(container.StoreDir + "/00000000000000000000000000000000-nixos-system")

// DeclaredWith is Declared for a profile that leads to system.
func (c Place) DeclaredWith(system container.StorePath) (declare.Declared, error) {
	text, err := os.ReadFile(c.Conf)
	if err != nil {
		return declare.Declared{}, err
	}
	return declare.ParseConf(bytes.NewReader(text), c.Conf, c.Name, string(system))
}

// Declares is what a file with these assignments would declare, with this
// system.
func (c Place) Declares(all []conf.Assignment, system container.StorePath) (declare.Declared, error) {
	text, err := conf.Format(all)
	if err != nil {
		return declare.Declared{}, err
	}
	return declare.ParseConf(bytes.NewReader(text), "", c.Name, string(system))
}

// Write replaces the file. It changes nothing where it fails.
func (c Place) Write(all []conf.Assignment) error {
	text, err := conf.Format(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.Conf), 0o755); err != nil {
		return err
	}
	return replace(c.Conf, text)
}

// replace puts a file of mode 0644 into the place of another one. Nothing is left
// of one that was interrupted but a file that the next one uses: the directory is
// not berth's.
func replace(path string, text []byte) error {
	staging := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(staging, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(staging, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(staging))
	}
	return state.SyncDir(filepath.Dir(path))
}
