// Package closure knows what a NixOS system consists of, and keeps that in the
// store for as long as a container may boot it. It builds nothing, and mounts
// nothing: internal/rootfs does that.
package closure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Closure is a system with all store paths that it refers to.
type Closure struct {
	System container.StorePath `json:"system"`
	// Dir is where the host has them, by their base names.
	Dir string `json:"dir"`
	// Paths are all of them, sorted, with System among them.
	Paths []container.StorePath `json:"paths"`
}

// Source is a store that has systems.
type Source interface {
	// Closure is that of a path, which has to be whole in the store.
	Closure(ctx context.Context, p container.StorePath) (Closure, error)
	// Keep saves the closure of a path from garbage collection until link, which
	// it makes, is removed.
	Keep(ctx context.Context, p container.StorePath, link string) error
	// Registration is what is known of all paths of a closure, as
	// nix-store --load-db reads it.
	Registration(ctx context.Context, c Closure) ([]byte, error)
}

// Systems are those that containers boot, or may boot again. A container's
// lock is held while something of it changes.
type Systems struct {
	Paths  state.Paths
	Source Source
}

// Resolve is the store path to which a path of the host leads: it is one, or
// a link such as nix build makes.
func Resolve(path string) (container.StorePath, error) {
	if p, err := container.ParseStorePath(path); err == nil {
		return p, nil
	}
	const hint = "name a store path of a NixOS system, or a link to one such as nix build makes"
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", &container.Error{Err: fmt.Errorf("system: %w", err), Hint: hint}
	}
	p, err := container.ParseStorePath(target)
	if err != nil {
		return "", &container.Error{Err: fmt.Errorf("system: %s leads to no store path: %w", path, err), Hint: hint}
	}
	return p, nil
}

// Take sees to it that a container has a system's closure for good.
func (s Systems) Take(ctx context.Context, n container.Name, p container.StorePath) error {
	link := s.link(n, p)
	if to, err := os.Readlink(link); err == nil && filepath.Base(to) == p.Base() {
		if c, err := s.Closure(n, p); err == nil {
			return c.check()
		}
	}
	c, err := s.Source.Closure(ctx, p)
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		return err
	}
	if err := s.Source.Keep(ctx, p, link); err != nil {
		return err
	}
	return state.WriteJSON(s.file(n, p), c)
}

// Register sees to it that a container has what a Nix in its guest is to be told
// of a system that was taken.
func (s Systems) Register(ctx context.Context, n container.Name, p container.StorePath) error {
	file := s.Registration(n, p)
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c, err := s.Closure(n, p)
	if err != nil {
		return err
	}
	text, err := s.Source.Registration(ctx, c)
	if err != nil {
		return err
	}
	return state.WriteFile(file, text, 0o600)
}

// Registration is the file that Register makes.
func (s Systems) Registration(n container.Name, p container.StorePath) string {
	return s.link(n, p) + ".registration"
}

// Look is the closure of a path, whether a container has it or not.
func (s Systems) Look(ctx context.Context, n container.Name, p container.StorePath) (Closure, error) {
	if c, err := s.Closure(n, p); err == nil {
		return c, nil
	}
	return s.Source.Closure(ctx, p)
}

// Diff is what changes from one system of a container to another, which it
// may not have yet. Sizes are 0 where nobody knows them.
func (s Systems) Diff(ctx context.Context, n container.Name, before, after container.StorePath) (container.PackageDiff, error) {
	old, err := s.Look(ctx, n, before)
	if err != nil {
		return container.PackageDiff{}, err
	}
	now, err := s.Look(ctx, n, after)
	if err != nil {
		return container.PackageDiff{}, err
	}
	d := Diff(old, now)
	if by, ok := s.Source.(Sizer); ok {
		if sizes, err := by.Sizes(ctx, old, now); err == nil {
			d.OldSize, d.NewSize = sizes[0], sizes[1]
		}
	}
	return d, nil
}

// Closure is what Take took.
func (s Systems) Closure(n container.Name, p container.StorePath) (Closure, error) {
	var c Closure
	err := state.ReadJSON(s.file(n, p), &c)
	if err == nil && c.System != p {
		err = fmt.Errorf("%s is about %s", s.file(n, p), c.System)
	}
	return c, err
}

// Check says why a container cannot boot a system that was taken for it; nil
// if it can.
func (s Systems) Check(n container.Name, p container.StorePath) error {
	c, err := s.Closure(n, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Take makes up for it
	} else if err != nil {
		return err
	}
	return c.check()
}

// Trim gives up the systems of a container that are not among keep.
func (s Systems) Trim(n container.Name, keep ...container.StorePath) error {
	wanted := map[string]bool{}
	for _, p := range keep {
		wanted[s.link(n, p)], wanted[s.file(n, p)], wanted[s.Registration(n, p)] = true, true, true
	}
	entries, err := os.ReadDir(s.Paths.System(n))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		if file := filepath.Join(s.Paths.System(n), e.Name()); !wanted[file] {
			errs = append(errs, state.RemoveFile(file))
		}
	}
	return errors.Join(errs...)
}

// Forget gives up all systems of a container.
func (s Systems) Forget(n container.Name) error { return state.RemoveTree(s.Paths.System(n)) }

// Names are the containers that have systems, whether they are there or not.
func (s Systems) Names() ([]container.Name, error) {
	entries, err := os.ReadDir(s.Paths.Systems())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []container.Name
	for _, e := range entries {
		if n, err := container.ParseName(e.Name()); err == nil {
			out = append(out, n)
		}
	}
	return out, nil
}

func (s Systems) link(n container.Name, p container.StorePath) string {
	return filepath.Join(s.Paths.System(n), p.Base())
}

func (s Systems) file(n container.Name, p container.StorePath) string { return s.link(n, p) + ".json" }

// Init is the program of a system that boots it, as the guest sees it.
func Init(p container.StorePath) string { return string(p) + "/init" }

// Names are the entries of Dir that are the closure.
func (c Closure) Names() []string {
	out := make([]string, len(c.Paths))
	for i, p := range c.Paths {
		out[i] = p.Base()
	}
	return out
}

// HasProgram reports whether the system has an executable file at a path below
// its own, as its guest sees it.
func (c Closure) HasProgram(path string) bool {
	path = filepath.Join(c.System.Base(), path)
	for range 40 { // links, as the kernel follows them
		to, err := c.link(path)
		if err != nil {
			return false
		}
		if to == "" {
			info, err := os.Lstat(filepath.Join(c.Dir, path))
			return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
		}
		path = to
	}
	return false
}

// link is where the first link in a path below Dir leads, below Dir too; empty
// where it has none.
func (c Closure) link(path string) (string, error) {
	parts := strings.Split(path, "/")
	for i := range parts {
		at := filepath.Join(parts[:i+1]...)
		info, err := os.Lstat(filepath.Join(c.Dir, at))
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		to, err := os.Readlink(filepath.Join(c.Dir, at))
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(to) {
			if to, err = filepath.Rel(container.StoreDir, to); err != nil {
				return "", err
			}
		} else {
			to = filepath.Join(filepath.Dir(at), to)
		}
		to = filepath.Join(append([]string{to}, parts[i+1:]...)...)
		if !filepath.IsLocal(to) {
			return "", fmt.Errorf("%s leads out of the store", at)
		}
		return to, nil
	}
	return "", nil
}

// check makes sure that the system is there, and is one.
func (c Closure) check() error {
	top := filepath.Join(c.Dir, c.System.Base())
	if _, err := os.Lstat(top); err != nil {
		return &container.Error{Err: fmt.Errorf("system: %s is not in the store: %w", c.System, err),
			Hint: "build it again, or bring it back with nix copy"}
	}
	if _, err := os.Lstat(filepath.Join(top, "init")); err != nil {
		return &container.Error{Err: fmt.Errorf("system: %s is not a NixOS system: it has no init", c.System),
			Hint: "build config.system.build.toplevel of a NixOS configuration"}
	}
	return nil
}
