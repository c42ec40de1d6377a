package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare/conf"
	"github.com/berth-containers/berth/internal/nix/build"
	"github.com/berth-containers/berth/internal/nixos"
	"github.com/berth-containers/berth/internal/supervise"
)

// NixosSource is what nixos-container builds a system from. One of its fields
// Flake, Config and ConfigFile is set, or none.
type NixosSource struct {
	Flake      string // REF, or REF#ATTR
	Config     string // definitions of NixOS
	ConfigFile string // a module
	NixOSPath  string
	Flags      []string // for Nix
	Dir        string   // where relative paths start; absolute
}

func (s NixosSource) isEmpty() bool { return s.Flake == "" && s.Config == "" && s.ConfigFile == "" }

// flake is the flake with an absolute path and its attribute, so that it is the
// same one later.
func (s NixosSource) flake() string {
	const usual = "container"
	ref, attribute := s.Flake, usual
	if i := strings.LastIndexByte(ref, '#'); i >= 0 && ref[i+1:] != "" && !strings.Contains(ref[i:], `"`) {
		ref, attribute = ref[:i], ref[i+1:]
	}
	ref = strings.TrimSuffix(ref, "#")
	scheme := ""
	if rest, ok := strings.CutPrefix(ref, "path:"); ok {
		ref, scheme = rest, "path:"
	}
	path, query, asks := strings.Cut(ref, "?")
	if path == "" || path == "." || path == ".." || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") {
		path = filepath.Join(s.Dir, path)
	}
	if ref = scheme + path; asks {
		ref += "?" + query
	}
	return ref + "#" + attribute
}

// definitions are the module of s, as nixos-container has it.
func (s NixosSource) definitions() (string, error) {
	if s.ConfigFile == "" {
		return s.Config, nil
	}
	file := s.ConfigFile
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.Dir, file)
	}
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "", &container.Error{Err: fmt.Errorf("--config-file: %w", err)}
	}
	return "  imports = [ " + nixPath(file) + " ];", nil
}

// nixPath is a path as an expression of Nix.
func nixPath(path string) string {
	return `(/. + "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`).Replace(path) + `")`
}

// build has the host's Nix build the system of a container. A module is staged
// beside the one that the container has.
func (x Nixos) build(ctx context.Context, place nixos.Place, s NixosSource) (container.StorePath, error) {
	source := build.Source{Name: place.Name, NixOSPath: s.NixOSPath}
	var err error
	switch {
	case s.Flake != "":
		source.Flake = s.flake()
	case s.isEmpty() && place.HasModule():
		source.ConfigFile = place.Module
	default:
		definitions, err := s.definitions()
		if err != nil {
			return "", err
		}
		if source.ConfigFile, err = place.StageModule(definitions); err != nil {
			return "", err
		}
	}
	flags, err := build.ParseFlags(s.Flags)
	if err != nil {
		return "", err
	}
	p, err := x.e.workplace()
	if err != nil {
		return "", err
	}
	made, err := build.Builder{Flags: flags, Events: x.e.Events, Roots: p.dir}.Build(ctx, []build.Source{source})
	if err != nil {
		return "", errors.Join(err, place.DropModule())
	}
	return made[0].System, nil
}

// ensureSystem builds the first system of a container whose file names a flake
// alone.
func (x Nixos) ensureSystem(ctx context.Context, place nixos.Place) error {
	if _, err := place.System(); err == nil {
		return nil
	}
	all, err := place.Read()
	if err != nil {
		return err
	}
	flake := conf.Get(all, conf.Flake)
	if flake == "" || conf.Get(all, conf.SystemPath) != "" {
		return nil
	}
	system, err := x.build(ctx, place, NixosSource{Flake: flake, Dir: "/"})
	if err != nil {
		return err
	}
	return place.SetSystem(system)
}

// Update builds a container's system anew: from s, or from what it was built
// from before. A running guest changes to it in place where it can; where it
// is not well then, it goes back, and so does the profile. tell hears what the
// owner should know.
func (x Nixos) Update(ctx context.Context, n container.Name, s NixosSource, tell func(string)) error {
	place, err := x.find(n)
	if err != nil {
		return err
	}
	if rec, ok := x.other(n); ok {
		return x.notOurs(rec)
	}
	if place.Declarative() {
		return declarative(place)
	}
	if err := x.e.prepare(); err != nil {
		return err
	}
	return x.locked(ctx, n, func() error {
		if s, err = x.sourceOf(place, s, tell); err != nil {
			return err
		}
		system, err := x.build(ctx, place, s)
		if err != nil {
			return err
		}
		if err := x.take(ctx, place, system, tell); err != nil {
			return errors.Join(err, place.DropModule())
		}
		return place.TakeModule()
	})
}

// sourceOf is what an update is built from: what is given, or else what the
// file of the container says, or the module that it has.
func (x Nixos) sourceOf(place nixos.Place, s NixosSource, tell func(string)) (NixosSource, error) {
	all, err := place.Read()
	if err != nil {
		return s, err
	}
	if path := conf.Get(all, conf.SystemPath); path != "" {
		return s, &container.Error{Subject: string(place.Name), Err: fmt.Errorf("SYSTEM_PATH in %s says what it boots, which is %s", place.Conf, path), Hint: "change that line, or take it out"}
	}
	if !s.isEmpty() {
		return s, nil
	}
	if s.Flake = conf.Get(all, conf.Flake); s.Flake != "" {
		return s, nil
	}
	if place.HasModule() {
		if place.GuestDiffers() {
			tell(fmt.Sprintf("%s is built from %s, which the guest cannot change, and not from %s, which is another: --config-file takes that", place.Name, place.Module, place.GuestModule()))
		}
		return s, nil
	}
	_, err = place.StageGuestModule()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, &container.Error{Subject: string(place.Name), Err: errors.New("nothing says what to build it from"), Hint: "give --flake, --config or --config-file"}
	case err != nil:
		return s, err
	}
	tell(fmt.Sprintf("%s is taken for %s, which counts from now on: the guest cannot change it", place.GuestModule(), place.Module))
	return s, place.TakeModule()
}

// take makes a system that of a container, and has its guest change to it if
// that runs.
func (x Nixos) take(ctx context.Context, place nixos.Place, system container.StorePath, tell func(string)) error {
	const reloading = "reloading container..."
	unit, o, foreign, err := x.foreign(ctx, place.Name)
	switch {
	case err != nil:
		return err
	case foreign:
		if err := place.SetSystem(system); err != nil || o.State != container.Running {
			return err
		}
		tell(reloading)
		return x.e.supervisor.(supervise.Others).Order(ctx, unit, supervise.OrderReload)
	}
	w, alive, err := x.wishWith(place, system)
	if err != nil {
		return err
	}
	if err := place.MakeRoot(); err != nil {
		return err
	}
	p, err := x.e.Plan(ctx, w)
	if err != nil {
		return err
	}
	if alive {
		tell(reloading)
	}
	return x.e.Apply(ctx, w, p)
}

// keepProfile makes what a container of nixos-container boots the current
// generation of its profile, whose lock is held: it may have gone back to
// another system.
func (e *Engine) keepProfile(n container.Name) error {
	rec, err := e.record(n)
	if errors.Is(err, container.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	place, ok := e.nixosPlace(rec)
	if !ok || rec.System == "" {
		return nil
	}
	all, err := place.Read()
	if errors.Is(err, fs.ErrNotExist) || conf.Get(all, conf.SystemPath) != "" { // it is being made, or says it itself
		return nil
	} else if err != nil {
		return err
	}
	return place.SetSystem(rec.System)
}

// wishWith is what is wanted of a container with another system. What its file
// says by now is for its next start.
func (x Nixos) wishWith(place nixos.Place, system container.StorePath) (w Wish, alive bool, err error) {
	obs, err := x.e.supervisor.Observe(place.Name)
	if err != nil {
		return w, false, err
	}
	if rec, err := x.e.record(place.Name); err == nil && obs.State.Alive() {
		spec := rec.Spec
		spec.System = string(system)
		return wishFor(place, spec), true, nil
	}
	d, err := place.DeclaredWith(system)
	return wishFor(place, d.Spec), false, err
}
