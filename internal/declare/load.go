package declare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// ErrNoDeclaration means that a directory has no file that could be one.
var ErrNoDeclaration = errors.New("no *.yaml, *.yml or *.json file, berth.nix or flake.nix in this directory")

// Loader reads declarations.
type Loader struct {
	// Nix evaluates those in Nix: a file, the flake.nix of a flake, or a flake
	// reference. Its errors are about the whole.
	Nix func(from string) (Evaluated, error)
}

// Load reads the declarations at paths, each of which is a file, a flake
// reference, or a directory with *.yaml, *.yml and *.json files, berth.nix, or
// else flake.nix; a file that is named twice is read once. dependsOn may name a
// container of another file. What is wrong is a *Problems over all of the
// files, and tells fs.ErrNotExist and ErrNoDeclaration by errors.Is; or what
// Nix could not evaluate.
func (l Loader) Load(paths ...string) ([]*Declaration, error) {
	var all []*Declaration
	var failed []error
	files, problems := findFiles(paths)
	for i, path := range files {
		if isNix(path) {
			d, found, err := l.loadNix(path, i)
			all, problems, failed = append(all, d), append(problems, found...), append(failed, err)
			continue
		}
		d, found := loadFile(path, i)
		problems = append(problems, found...)
		all = append(all, d)
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	problems = append(problems, sameNames(all)...)
	problems = append(problems, dependencyProblems(all)...)
	problems = append(problems, networkProblems(all)...)
	if err := problemsOf(problems); err != nil {
		return nil, err
	}
	return all, nil
}

// Owners are those of the containers of the declarations at paths, which are as
// those of Load, but need not be right.
func Owners(paths ...string) ([]container.Owner, error) {
	files, problems := findFiles(paths)
	if err := problemsOf(problems); err != nil {
		return nil, err
	}
	var owners []container.Owner
	for _, f := range files {
		if isReference(f) {
			owners = append(owners, container.OwnerFlake(f))
			continue
		}
		abs, err := filepath.Abs(f)
		if err != nil {
			return nil, err
		}
		owners = append(owners, container.OwnerFile(abs))
	}
	return owners, nil
}

func findFiles(paths []string) (files []string, problems []*Problem) {
	seen := map[string]bool{}
	for i, path := range paths {
		found, err := filesAt(path)
		if err != nil {
			problems = append(problems, &Problem{Pos: Position{File: path, order: i}, Err: plainError(err)})
		}
		for _, f := range found {
			if abs, err := filepath.Abs(f); err == nil && !seen[abs] {
				seen[abs] = true
				files = append(files, f)
			}
		}
	}
	return files, problems
}

// isNix reports whether a declaration is in Nix: by the name of its file, or
// because it is none.
func isNix(path string) bool { return filepath.Ext(path) == ".nix" || isReference(path) }

// isReference reports whether path, which is no file, is a flake reference.
func isReference(path string) bool {
	_, err := os.Stat(path)
	return err != nil && strings.Contains(path, ":")
}

func (l Loader) loadNix(path string, order int) (*Declaration, []*Problem, error) {
	p := &parser{file: Position{File: path, order: order}}
	if l.Nix == nil {
		return &Declaration{}, []*Problem{{Pos: p.file, Err: errors.New("declarations in Nix are not for here")}}, nil
	}
	e, err := l.Nix(path)
	if err != nil {
		return &Declaration{}, nil, err
	}
	d := p.parseNix(path, e)
	return d, p.problems, nil
}

// filesAt is path itself, or the declarations in it, sorted.
func filesAt(path string) ([]string, error) {
	if isReference(path) {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	var files []string
	for _, e := range entries {
		if !e.IsDir() && isDeclaration(e.Name()) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if err == nil && len(files) == 0 {
		if flake := filepath.Join(path, "flake.nix"); exists(flake) {
			return []string{flake}, nil
		}
		err = ErrNoDeclaration
	}
	return files, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isDeclaration tells by the name of a file; hidden ones are editors' own, and
// those in Nix are mostly modules.
func isDeclaration(name string) bool {
	return name == "berth.nix" || !strings.HasPrefix(name, ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

func loadFile(path string, order int) (d *Declaration, problems []*Problem) {
	p, err := newParser(path, order)
	if err != nil {
		return &Declaration{}, []*Problem{{Pos: p.file, Err: err}}
	}
	f, err := os.Open(path)
	if err != nil {
		return &Declaration{}, []*Problem{{Pos: p.file, Err: plainError(err)}}
	}
	d = p.parse(f)
	if err := f.Close(); err != nil {
		p.report(&Problem{Pos: p.file, Err: plainError(err)})
	}
	return d, p.problems
}

// plainError leaves out the path, which the position names.
func plainError(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// sameNames reports containers that two files declare.
func sameNames(all []*Declaration) []*Problem {
	var problems []*Problem
	first := map[container.Name]Position{}
	for _, d := range all {
		for _, c := range d.Containers {
			at, twice := first[c.Name]
			if !twice {
				first[c.Name] = c.Pos
				continue
			}
			problems = append(problems, &Problem{Pos: c.Pos, Key: childKey("containers", string(c.Name)),
				Err: fmt.Errorf("this container is already declared at %v", at), Hint: "keep one of the two, or give one another name"})
		}
	}
	return problems
}
