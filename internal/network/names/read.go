package names

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/state"
)

// read gives the leases that need this process, in the order of their names,
// and their networks. What cannot be read is in the error, and left out.
func read(paths state.Paths) (table, error) {
	t := table{networks: map[string]network.Network{}}
	var errs []error
	entries, err := os.ReadDir(paths.Leases())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	for _, e := range entries {
		if !isLease(e.Name()) {
			continue
		}
		var l network.Lease
		err := state.ReadJSON(filepath.Join(paths.Leases(), e.Name()), &l)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just gone
		}
		if err == nil && needed(l) {
			t.leases = append(t.leases, l)
		}
		errs = append(errs, err)
	}
	for _, l := range t.leases {
		for _, link := range l.Links {
			errs = append(errs, t.addNetwork(paths, link.Network))
		}
	}
	slices.SortFunc(t.leases, func(a, b network.Lease) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return t, errors.Join(errs...)
}

// isLease tells leases from files that are still being written.
func isLease(file string) bool {
	return strings.HasSuffix(file, ".json") && !strings.HasPrefix(file, ".")
}

func (t table) addNetwork(paths state.Paths, name string) error {
	if _, there := t.networks[name]; there || name == "" {
		return nil
	}
	var n network.Network
	if err := state.ReadJSON(paths.Network(name), &n); err != nil {
		return fmt.Errorf("network %s: %w", name, err)
	}
	t.networks[name] = n
	return nil
}

// Needed reports whether there is a lease that needs this process.
func Needed(paths state.Paths) bool {
	t, _ := read(paths)
	return len(t.leases) > 0
}
