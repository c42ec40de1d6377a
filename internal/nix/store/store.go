// Package store keeps store paths of Nix on hosts that need not have Nix. It
// holds what was verified, whole closures only, and nothing twice.
//
//	store/HASH-NAME      the trees: owned by root, read-only, of the year 1970
//	db/HASH-NAME.json    what is known of each; a path without this is not there
//	links/SIZE-XXHASH    each file's content once, under hard links
//	roots/NAME.json      what is to stay
//	staging/             what comes and goes; belongs to who holds the lock
//
// Reading needs no lock. Where paths come from is the business of others.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/state"
)

// Store is a store of its own. Several processes may use one directory at a
// time.
type Store struct{ dir string }

// Open uses the store at dir, an absolute path, which is made when it is first
// needed.
func Open(dir string) *Store { return &Store{dir} }

// ErrNotFound says that a store path is not in the store.
var ErrNotFound = errors.New("the store does not have it")

func (s *Store) trees() string                    { return filepath.Join(s.dir, "store") }
func (s *Store) db() string                       { return filepath.Join(s.dir, "db") }
func (s *Store) links() string                    { return filepath.Join(s.dir, "links") }
func (s *Store) roots() string                    { return filepath.Join(s.dir, "roots") }
func (s *Store) staging() string                  { return filepath.Join(s.dir, "staging") }
func (s *Store) lockFile() string                 { return filepath.Join(s.dir, "lock") }
func (s *Store) record(p nix.StorePath) string    { return filepath.Join(s.db(), p.Base()+".json") }
func (s *Store) staged(p nix.StorePath) string    { return filepath.Join(s.staging(), p.Base()) }
func (s *Store) newRecord(p nix.StorePath) string { return s.staged(p) + ".json" }

// Dir is where the tree of a store path lies, an absolute path of the host,
// whether it is there or not. The tree may be a directory, a file or a link.
func (s *Store) Dir(p nix.StorePath) string { return filepath.Join(s.trees(), p.Base()) }

// Info is what is known of a store path. The error for one that is not there
// matches ErrNotFound.
func (s *Store) Info(p nix.StorePath) (nix.Info, error) {
	var i nix.Info
	err := state.ReadJSON(s.record(p), &i)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w", p, ErrNotFound)
	}
	if err == nil && i.Path != p {
		err = fmt.Errorf("%s is about %s", s.record(p), i.Path)
	}
	return i, err
}

// Has reports whether a store path is there, and with it all that it refers
// to.
func (s *Store) Has(p nix.StorePath) bool {
	_, err := os.Lstat(s.record(p))
	return err == nil
}

// Find gives the store path with a hash. The error for one that is not there
// matches ErrNotFound.
func (s *Store) Find(hash string) (nix.StorePath, error) {
	if _, err := nix.ParseHash(hash); err != nil {
		return "", err
	}
	names, err := filepath.Glob(filepath.Join(s.db(), hash+"-*.json"))
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s: %w", hash, ErrNotFound)
	}
	return nix.ParsePath(strings.TrimSuffix(filepath.Base(names[0]), ".json"))
}

// Closure are store paths and all that they refer to, sorted. The error where
// one is not there matches ErrNotFound.
func (s *Store) Closure(paths ...nix.StorePath) ([]nix.StorePath, error) {
	infos, err := s.Infos(paths...)
	if err != nil {
		return nil, err
	}
	out := make([]nix.StorePath, len(infos))
	for i, info := range infos {
		out[i] = info.Path
	}
	return out, nil
}

// Infos is what is known of a Closure, in the same order.
func (s *Store) Infos(paths ...nix.StorePath) ([]nix.Info, error) {
	seen := map[nix.StorePath]bool{}
	var out []nix.Info
	todo := slices.Clone(paths)
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[p] {
			continue
		}
		seen[p] = true
		i, err := s.Info(p)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
		todo = append(todo, i.References...)
	}
	slices.SortFunc(out, func(a, b nix.Info) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return out, nil
}

// List is what is known of all store paths, sorted by path.
func (s *Store) List() ([]nix.Info, error) {
	entries, err := os.ReadDir(s.db())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []nix.Info
	for _, e := range entries {
		p, err := nix.ParsePath(strings.TrimSuffix(e.Name(), ".json"))
		if err != nil {
			continue // not ours
		}
		i, err := s.Info(p)
		if errors.Is(err, ErrNotFound) {
			continue // removed meanwhile
		} else if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// lock waits for the right to change the store, and calls waiting first where
// somebody else has it.
func (s *Store) lock(ctx context.Context, waiting func()) (*state.Lock, error) {
	for _, dir := range []string{s.trees(), s.db(), s.links(), s.roots(), s.staging()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	l, err := state.TryLock(s.lockFile())
	if !errors.Is(err, state.ErrLocked) {
		return l, err
	}
	if waiting != nil {
		waiting()
	}
	return state.AwaitLock(ctx, s.lockFile())
}
