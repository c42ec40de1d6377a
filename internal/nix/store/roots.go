package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/state"
)

// Root are store paths that stay, under a name.
type Root struct {
	Name  string          `json:"name"`
	Paths []nix.StorePath `json:"paths"`
}

const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// CheckName refuses what cannot be the name of a root.
func CheckName(name string) error {
	odd := strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(nameRunes, r) })
	if name != "" && len(name) <= 64 && !odd && name[0] != '.' && name[0] != '-' {
		return nil
	}
	return &container.Error{Err: fmt.Errorf("%q cannot be a name for store paths", name), Code: container.CodeUsage,
		Hint: "use 1 to 64 letters, digits, dots, dashes and underscores, with no dot or dash before them"}
}

func (s *Store) root(name string) string { return filepath.Join(s.roots(), name+".json") }

// Halves are the files of roots that a process that has ended has half written.
func (s *Store) Halves() []string { return state.Halves(s.roots()) }

// Roots are all roots, by name.
func (s *Store) Roots() ([]Root, error) {
	entries, err := os.ReadDir(s.roots())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []Root
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || CheckName(name) != nil {
			continue
		}
		var r Root
		if err := state.ReadJSON(s.root(name), &r); errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		} else if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Root is one root. The error for one that is not there matches
// fs.ErrNotExist.
func (s *Store) Root(name string) (Root, error) {
	var r Root
	if err := CheckName(name); err != nil {
		return r, err
	}
	err := state.ReadJSON(s.root(name), &r)
	return r, err
}

// RemoveRoot forgets a name. The paths stay until they are collected.
func (s *Store) RemoveRoot(name string) error {
	err := CheckName(name)
	if err == nil {
		err = os.Remove(s.root(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &container.Error{Subject: name, Err: errors.New("no store paths have this name"), Code: container.CodeNotFound, Hint: "berth nix ls shows the names that there are"}
	} else if err != nil {
		return err
	}
	return state.SyncDir(s.roots())
}
