// Package mininixos provides systems in the shape of NixOS for tests: closures
// with init, activate and bin/switch-to-configuration, which Nix builds from
// Debian's packages. Real ones need nixpkgs and its cache; nothing that is
// tested may tell the two apart.
package mininixos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/internal/state"
)

//go:embed base.nix base.sh default.nix fetch nixpkgs packages.txt scripts stock.nix system.nix
var recipe embed.FS

// Set is what Install has put in place.
type Set struct {
	// Systems are store paths by the names in default.nix.
	Systems map[string]string
	Nix     string   // the directory of nix-store
	Paths   []string // all of their closures
}

// names are those of default.nix that are built.
var names = [...]string{"one", "two", "failing", "stuck", "crashing", "large", "private", "private2", "privateFailing", "spare", "remnant", "secret", "nix", "base"}

// Unkept and Unkept2 are not saved from garbage collection: a test that has one
// for itself may collect it.
const (
	Unkept  = "spare"
	Unkept2 = "remnant"
)

// Cached is the file in the directory cache that holds everything.
func Cached(cache string) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(recipe, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := recipe.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(b), b)
		return err
	})
	return filepath.Join(cache, fmt.Sprintf("mini-nixos-%x.tar", sum.Sum(nil)[:4])), err
}

// Build makes the file that Cached names, where it is not there. It needs Nix,
// patchelf and apt with an archive of Debian.
func Build(ctx context.Context, cache string) (err error) {
	file, err := Cached(cache)
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir, err := os.MkdirTemp("", "mini-nixos-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.CopyFS(filepath.Join(dir, "recipe"), recipe); err != nil {
		return err
	}
	b := builder{ctx, dir}
	s, err := b.build()
	if err != nil {
		return fmt.Errorf("build mini-nixos: %w", err)
	}
	if err := errors.Join(os.MkdirAll(cache, 0o755), b.pack(s, file+".new")); err != nil {
		return fmt.Errorf("pack mini-nixos: %w", err)
	}
	return os.Rename(file+".new", file)
}

// Nixpkgs writes into the directory dir, which is not there, what tests take
// for nixpkgs: it has nixos, for configurations of modules, and is a flake with
// lib.nixosSystem.
func (s Set) Nixpkgs(dir string) error {
	if err := os.CopyFS(dir, recipe); err != nil {
		return err
	}
	nixpkgs := filepath.Join(dir, "nixpkgs")
	for _, name := range []string{"flake.nix", "nixos"} {
		if err := os.Rename(filepath.Join(nixpkgs, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(nixpkgs), os.WriteFile(filepath.Join(dir, "base"), []byte(s.Systems["base"]), 0o644))
}

// builder works in a directory with a copy of the recipe.
type builder struct {
	ctx context.Context
	dir string
}

func (b builder) path(name string) string { return filepath.Join(b.dir, name) }

// run runs a command and returns what it writes.
func (b builder) run(argv ...string) (string, error) {
	cmd := exec.CommandContext(b.ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "NIX_CONF_DIR="+b.dir, "NIX_REMOTE=")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		text := said.String()
		return "", fmt.Errorf("%q: %w\n%s", argv, err, text[max(0, len(text)-4000):])
	}
	return out.String(), nil
}

func (b builder) build() (Set, error) {
	s := Set{Systems: map[string]string{}}
	conf := "build-users-group =\nsubstituters =\nsandbox = false\n"
	packages, err := recipe.ReadFile("packages.txt")
	if err != nil {
		return s, err
	}
	fetch := func(dir string, packages ...string) error {
		_, err := b.run(append([]string{"sh", b.path("recipe/fetch"), b.path(dir)}, packages...)...)
		return err
	}
	if err := errors.Join(os.WriteFile(b.path("nix.conf"), []byte(conf), 0o644), fetch("debs", strings.Fields(string(packages))...), fetch("nix-debs", "nix-bin")); err != nil {
		return s, err
	}
	argv := []string{"nix-build", "--no-out-link", "--arg", "debs", b.path("debs"), "--arg", "nixDebs", b.path("nix-debs"), b.path("recipe")}
	for _, n := range names {
		argv = append(argv, "-A", n)
	}
	out, err := b.run(argv...)
	if err != nil {
		return s, err
	}
	built := strings.Fields(out)
	if len(built) != len(names) {
		return s, fmt.Errorf("nix-build made %q", built)
	}
	for i, n := range names {
		s.Systems[n] = built[i]
	}
	s.Nix = s.Systems["nix"] + "/bin"
	paths, err := b.run(append([]string{"nix-store", "--query", "--requisites"}, built...)...)
	s.Paths = strings.Fields(paths)
	return s, err
}

// pack writes s, what Nix knows of its paths, and them into a tar file.
func (b builder) pack(s Set, to string) error {
	known, err := b.run(append([]string{"nix-store", "--dump-db"}, s.Paths...)...)
	if err != nil {
		return err
	}
	set, err := json.Marshal(s)
	if err == nil {
		err = errors.Join(os.WriteFile(b.path(setFile), set, 0o644), os.WriteFile(b.path(knownFile), []byte(known), 0o644))
	}
	if err != nil {
		return err
	}
	argv := []string{"tar", "--create", "--file", to, "--numeric-owner", "-C", b.dir, setFile, knownFile, "-C", "/"}
	for _, p := range s.Paths {
		argv = append(argv, strings.TrimPrefix(p, "/"))
	}
	_, err = b.run(argv...)
	return err
}

// The files in front of the paths.
const (
	setFile   = "set.json"
	knownFile = "registration"
)

// Install puts what Build made into the machine's store, as far as it is not
// there, and saves it from garbage collection.
func Install(ctx context.Context, cache string) (s Set, err error) {
	file, err := Cached(cache)
	if err != nil {
		return s, err
	}
	lock, err := state.AwaitLock(ctx, "/run/berth-mini-nixos.lock")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	dir, err := os.MkdirTemp("", "mini-nixos-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := builder{ctx, dir}
	if _, err := b.run("tar", "--extract", "--file", file, "--occurrence=1", "-C", dir, setFile, knownFile); err != nil {
		return s, err
	}
	if err := state.ReadJSON(b.path(setFile), &s); err != nil {
		return s, err
	}
	if err := b.unpack(s, file); err != nil {
		return s, fmt.Errorf("install mini-nixos: %w", err)
	}
	return s, nil
}

func (b builder) unpack(s Set, file string) error {
	missing := []string{"tar", "--extract", "--file", file, "--numeric-owner", "-C", "/"}
	none := len(missing)
	for _, p := range s.Paths {
		if _, err := os.Lstat(p); err != nil {
			missing = append(missing, strings.TrimPrefix(p, "/"))
		}
	}
	roots := "/nix/var/nix/gcroots/berth-mini-nixos"
	if err := os.MkdirAll(roots, 0o755); err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(s.Systems)) {
		if n == Unkept || n == Unkept2 {
			continue
		}
		err := os.Symlink(s.Systems[n], filepath.Join(roots, filepath.Base(s.Systems[n])))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if len(missing) == none {
		return nil
	}
	if _, err := b.run(missing...); err != nil {
		return err
	}
	known, err := os.Open(b.path(knownFile))
	if err != nil {
		return err
	}
	defer known.Close()
	cmd := exec.CommandContext(b.ctx, filepath.Join(s.Nix, "nix-store"), "--load-db")
	cmd.Stdin = known
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nix-store --load-db: %w\n%s", err, out)
	}
	return nil
}
