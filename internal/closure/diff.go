package closure

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Sizer is a Source that knows how large store paths are.
type Sizer interface {
	// Sizes are those of all store paths of each closure, in bytes.
	Sizes(ctx context.Context, closures ...Closure) ([]int64, error)
}

// Diff is what changes from one closure to another, by the names of store
// paths. Their sizes are left to the caller.
func Diff(before, after Closure) container.PackageDiff {
	old, now := packages(before), packages(after)
	names := map[string]bool{}
	for n := range old {
		names[n] = true
	}
	for n := range now {
		names[n] = true
	}
	var d container.PackageDiff
	for _, n := range slices.Sorted(maps.Keys(names)) {
		was, is := old[n], now[n]
		switch {
		case was == nil:
			d.Added = append(d.Added, container.Package{Name: n, Versions: is.sorted()})
		case is == nil:
			d.Removed = append(d.Removed, container.Package{Name: n, Versions: was.sorted()})
		case !maps.Equal(was.versions, is.versions):
			d.Changed = append(d.Changed, container.PackageChange{Name: n, Old: was.sorted(), New: is.sorted()})
		default:
			d.Rebuilt += is.without(was)
		}
	}
	return d
}

// pack are the store paths with the same name, but for their versions.
type pack struct {
	versions map[string]bool // "" where a path has none
	paths    map[container.StorePath]bool
}

func packages(c Closure) map[string]*pack {
	out := map[string]*pack{}
	for _, path := range c.Paths {
		name, version := split(path)
		p := out[name]
		if p == nil {
			p = &pack{map[string]bool{}, map[container.StorePath]bool{}}
			out[name] = p
		}
		p.versions[version], p.paths[path] = true, true
	}
	return out
}

func (p *pack) sorted() []string {
	out := []string{}
	for v := range p.versions {
		if v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// without counts the paths that other does not have.
func (p *pack) without(other *pack) int {
	n := 0
	for path := range p.paths {
		if !other.paths[path] {
			n++
		}
	}
	return n
}

// split is a store path's name and version: that begins after the first dash
// before what is no letter, as in Nix. The name of one of several outputs, such
// as bin, stands behind it and counts for nothing.
func split(path container.StorePath) (name, version string) {
	_, name, _ = strings.Cut(path.Base(), "-")
	for i := range len(name) - 1 {
		if c := name[i+1]; name[i] == '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			name, version = name[:i], name[i+1:]
			break
		}
	}
	if i := strings.LastIndexByte(version, '-'); i > 0 && isOutput(version[i+1:]) {
		version = version[:i]
	}
	return name, version
}

func isOutput(word string) bool {
	return slices.Contains([]string{"bin", "data", "debug", "dev", "devdoc", "dist", "doc", "info", "lib", "lib32", "lib64", "man", "out", "static"}, word)
}
