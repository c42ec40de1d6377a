package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nix-community/go-nix/pkg/wire"
	"golang.org/x/sync/errgroup"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/nar"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// storePath is a path with a name, whose hash is one letter.
func storePath(name string) nix.StorePath {
	return nix.StorePath(nix.StoreDir + "/" + strings.Repeat(name[:1], 32) + "-" + name)
}

func infoOf(name string, refs ...string) nix.Info {
	i := nix.Info{Path: storePath(name), References: []nix.StorePath{}}
	for _, r := range refs {
		i.References = append(i.References, storePath(r))
	}
	return i
}

// words writes an archive of words.
func words(list ...string) []byte {
	var b bytes.Buffer
	for _, w := range append([]string{"nix-archive-1"}, list...) {
		_ = wire.WriteString(&b, w)
	}
	return b.Bytes()
}

// tools is an archive of a directory with two files of the same content, one
// of them executable, an empty one, a directory and a link.
func tools(extra string) []byte {
	return words("(", "type", "directory",
		"entry", "(", "name", "a", "node", "(", "type", "regular", "contents", "same", ")", ")",
		"entry", "(", "name", "b", "node", "(", "type", "directory", "entry", "(", "name", "c", "node", "(", "type", "regular", "contents", "same", ")", ")", ")", ")",
		"entry", "(", "name", "d", "node", "(", "type", "regular", "executable", "", "contents", "same", ")", ")",
		"entry", "(", "name", "e", "node", "(", "type", "symlink", "target", "/etc", ")", ")",
		"entry", "(", "name", "f", "node", "(", "type", "regular", "contents", "", ")", ")",
		"entry", "(", "name", "g", "node", "(", "type", "regular", "contents", extra, ")", ")",
		")")
}

// add adds paths to a store, each with the archive that goes with it.
func add(t *testing.T, s *Store, name string, infos ...nix.Info) {
	t.Helper()
	w, err := s.Begin(t.Context(), nil)
	must(t, err)
	for _, i := range infos {
		must(t, w.Add(i, bytes.NewReader(tools(string(i.Path)))))
	}
	if name != "" {
		must(t, w.Keep(Root{Name: name, Paths: []nix.StorePath{infos[len(infos)-1].Path}}))
	}
	must(t, w.Finish())
}

func newStore(t *testing.T) *Store { return Open(filepath.Join(t.TempDir(), "nix")) }

// files lists what lies below a directory, as find would.
func files(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := os.Lstat(path)
		if err != nil {
			return err
		}
		sys := st.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&out, "%s %v %d %d:%d\n", strings.TrimPrefix(path, dir), st.Mode(), st.ModTime().Unix(), sys.Uid, sys.Gid)
		return nil
	}))
	return out.String()
}

func TestTree(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	add(t, s, "", infoOf("a"), infoOf("b"))
	want := ` dr-xr-xr-x 1 0:0
/a -r--r--r-- 1 0:0
/b dr-xr-xr-x 1 0:0
/b/c -r--r--r-- 1 0:0
/d -r-xr-xr-x 1 0:0
/e Lrwxrwxrwx 1 0:0
/f -r--r--r-- 1 0:0
/g -r--r--r-- 1 0:0
`
	if got := files(t, s.Dir(storePath("a"))); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	one, other := filepath.Join(s.Dir(storePath("a")), "a"), filepath.Join(s.Dir(storePath("b")), "b/c")
	if !sameFile(t, one, other) || sameFile(t, one, filepath.Join(s.Dir(storePath("a")), "d")) {
		t.Error("content is there twice, or an executable file shares that of one that is not")
	}
	for name, want := range map[string]string{"a": "same", "d": "same", "f": "", "g": string(storePath("a"))} {
		if b, err := os.ReadFile(filepath.Join(s.Dir(storePath("a")), name)); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.Stat(a)
	must(t, err)
	other, err := os.Stat(b)
	must(t, err)
	return os.SameFile(one, other)
}

// Large files are written before their content is known.
func TestLarge(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	big := strings.Repeat("0123456789abcdef", nar.BufferSize/16*2+1)
	archive := words("(", "type", "regular", "executable", "", "contents", big, ")")
	for _, name := range []string{"a", "b"} {
		w, err := s.Begin(t.Context(), nil)
		must(t, err)
		must(t, w.Add(infoOf(name), bytes.NewReader(archive)))
		must(t, w.Finish())
	}
	if got := files(t, s.Dir(storePath("b"))); got != " -r-xr-xr-x 1 0:0\n" {
		t.Error(got)
	}
	if b, err := os.ReadFile(s.Dir(storePath("b"))); err != nil || string(b) != big {
		t.Error(len(b), err)
	}
	if !sameFile(t, s.Dir(storePath("a")), s.Dir(storePath("b"))) {
		t.Error("content is there twice")
	}
}

// What is found under the key of some content is that, or is not shared.
func TestSpoiled(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", nar.BufferSize+1)
	old := func(key string) error { return os.Chtimes(key, time.Unix(mtime, 0), time.Unix(mtime, 0)) }
	for _, want := range []string{"same", big} {
		for name, spoil := range map[string]func(key string) error{
			"shorter": func(key string) error { return errors.Join(os.Truncate(key, 3), old(key)) },
			"other content": func(key string) error {
				return errors.Join(os.WriteFile(key, []byte(strings.Repeat("y", len(want))), 0o600), old(key))
			},
			"other mode":  func(key string) error { return os.Chmod(key, 0o644) },
			"a link":      func(key string) error { return errors.Join(os.Remove(key), os.Symlink("/etc/passwd", key)) },
			"a directory": func(key string) error { return errors.Join(os.Remove(key), os.Mkdir(key, 0o755)) },
		} {
			s := newStore(t)
			archive := words("(", "type", "regular", "contents", want, ")")
			one := func(p string) {
				t.Helper()
				w, err := s.Begin(t.Context(), nil)
				must(t, err)
				must(t, w.Add(infoOf(p), bytes.NewReader(archive)))
				must(t, w.Finish())
				if b, err := os.ReadFile(s.Dir(storePath(p))); err != nil || string(b) != want {
					t.Errorf("%s: %s has %d bytes: %v", name, p, len(b), err)
				}
			}
			one("a")
			keys, err := filepath.Glob(filepath.Join(s.links(), "*"))
			must(t, err)
			if len(keys) != 1 {
				t.Fatalf("%q", keys)
			}
			// Another file, so that the one in a stays what it is.
			b, err := os.ReadFile(keys[0])
			must(t, errors.Join(err, os.Remove(keys[0]), os.WriteFile(keys[0], b, 0o444), old(keys[0])))
			must(t, spoil(keys[0]))
			one("b")
			if name == "a directory" {
				continue // nothing takes its place
			}
			one("c")
			if !sameFile(t, s.Dir(storePath("b")), s.Dir(storePath("c"))) {
				t.Errorf("%s: content is shared no more", name)
			}
			tidy(t, s)
		}
	}
}

// Several who bring the same at a time share it.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	w, err := s.Begin(t.Context(), nil)
	must(t, err)
	var group errgroup.Group
	for _, name := range []string{"a", "b", "c", "d"} {
		archive := words("(", "type", "regular", "contents", strings.Repeat("x", nar.BufferSize*4), ")")
		group.Go(func() error { return w.Add(infoOf(name), bytes.NewReader(archive)) })
	}
	must(t, errors.Join(group.Wait(), w.Finish()))
	for _, name := range []string{"b", "c", "d"} {
		if !sameFile(t, s.Dir(storePath("a")), s.Dir(storePath(name))) {
			t.Errorf("%s is there twice", name)
		}
	}
	tidy(t, s)
}

// A path is in sight only with all that it refers to.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	w, err := s.Begin(t.Context(), nil)
	must(t, err)
	must(t, w.Add(infoOf("a", "a", "b"), bytes.NewReader(tools("a"))))
	must(t, w.Add(infoOf("b", "c"), bytes.NewReader(tools("b"))))
	must(t, w.Add(infoOf("d"), bytes.NewReader(tools("d"))))
	if s.Has(storePath("a")) || s.Has(storePath("b")) {
		t.Error("in sight without c")
	}
	must(t, w.Finish())
	if s.Has(storePath("a")) || s.Has(storePath("b")) || !s.Has(storePath("d")) {
		t.Error("in sight without c, or d is not")
	}
	tidy(t, s)
	add(t, s, "x", infoOf("c"), infoOf("b", "c"), infoOf("a", "a", "b"))
	got, err := s.Closure(storePath("a"))
	if want := []nix.StorePath{storePath("a"), storePath("b"), storePath("c")}; err != nil || !slices.Equal(got, want) {
		t.Error(got, err)
	}
	if p, err := s.Find(strings.Repeat("b", 32)); err != nil || p != storePath("b") {
		t.Error(p, err)
	}
	if _, err := s.Find(strings.Repeat("1", 32)); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.Closure(storePath("z")); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// tidy fails the test where the store is not whole, or has more than it says.
func tidy(t *testing.T, s *Store) {
	t.Helper()
	list, err := s.List()
	must(t, err)
	for _, i := range list {
		_, err := s.Closure(i.Path)
		must(t, err)
		if _, err := os.Lstat(s.Dir(i.Path)); err != nil {
			t.Error(err)
		}
	}
	trees, err := os.ReadDir(s.trees())
	must(t, err)
	if len(trees) != len(list) {
		t.Errorf("%d trees for %d paths", len(trees), len(list))
	}
	left, err := filepath.Glob(filepath.Join(s.staging(), "*"))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left over: %q", left)
	}
	links, err := os.ReadDir(s.links())
	must(t, err)
	for _, l := range links {
		st, err := os.Stat(filepath.Join(s.links(), l.Name()))
		must(t, err)
		if st.Sys().(*syscall.Stat_t).Nlink == 1 {
			t.Errorf("nothing has the content %s", l.Name())
		}
	}
}

// Archives that are refused leave nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	escape := words("(", "type", "directory", "entry", "(", "name", "..", "node", "(", "type", "directory", ")", ")", ")")
	whole := tools("x")
	for _, archive := range [][]byte{escape, whole[:len(whole)-8], append(bytes.Clone(whole), 0), nil} {
		w, err := s.Begin(t.Context(), nil)
		must(t, err)
		if err := w.Add(infoOf("a"), bytes.NewReader(archive)); !errors.Is(err, nar.ErrFormat) {
			t.Error(err)
		}
		must(t, w.Finish())
		tidy(t, s)
	}
	if s.Has(storePath("a")) {
		t.Error("it is there")
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if c, err := s.Collect(t.Context(), nil); err != nil || len(c.Paths) != 0 {
		t.Error(c, err)
	}
	add(t, s, "one", infoOf("c"), infoOf("b", "b", "c"), infoOf("a", "b"))
	add(t, s, "two", infoOf("d", "c"))
	add(t, s, "", infoOf("f", "c"))
	collect := func(keep []nix.StorePath, want ...string) {
		t.Helper()
		c, err := s.Collect(t.Context(), keep)
		must(t, err)
		var got []string
		for _, p := range c.Paths {
			got = append(got, p.Base()[33:])
		}
		if !slices.Equal(got, want) || len(want) > 0 && c.Freed == 0 {
			t.Errorf("%d bytes and %q are gone, not %q", c.Freed, got, want)
		}
		tidy(t, s)
	}
	collect([]nix.StorePath{storePath("f"), storePath("z")})
	collect(nil, "f")
	must(t, s.RemoveRoot("one"))
	collect([]nix.StorePath{storePath("b")}, "a")
	collect(nil, "b")
	must(t, s.RemoveRoot("two"))
	collect(nil, "c", "d")
	if links, err := os.ReadDir(s.links()); err != nil || len(links) != 0 {
		t.Errorf("%d links %v", len(links), err)
	}
	if err := s.RemoveRoot("two"); container.CodeOf(err) != container.CodeNotFound {
		t.Error(err)
	}
}

// What was killed at a bad moment is cleaned up by whoever comes next.
func TestClean(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *Store, p nix.StorePath) error{
		"before the record came into sight": func(s *Store, p nix.StorePath) error { return os.Rename(s.record(p), s.newRecord(p)) },
		"before the tree came into sight": func(s *Store, p nix.StorePath) error {
			return errors.Join(os.Rename(s.record(p), s.newRecord(p)), os.Rename(s.Dir(p), s.staged(p)))
		},
		"before the record was written": func(s *Store, p nix.StorePath) error {
			return errors.Join(os.Remove(s.record(p)), os.Rename(s.Dir(p), s.staged(p)), os.WriteFile(filepath.Join(s.staging(), ".tmp-1"), nil, 0o600))
		},
		"by a berth that had links in the staging directory": func(s *Store, p nix.StorePath) error {
			links := filepath.Join(s.staging(), "links")
			return errors.Join(os.Rename(s.record(p), s.newRecord(p)), os.Mkdir(links, 0o755), os.Link(filepath.Join(s.Dir(p), "g"), filepath.Join(links, strings.Repeat("0", 64))))
		},
	} {
		s := newStore(t)
		add(t, s, "", infoOf("a"))
		must(t, spoil(s, storePath("a")))
		removed, err := s.Sweep()
		if err != nil || len(removed) == 0 {
			t.Errorf("%s: %q %v", name, removed, err)
		}
		if removed, err := s.Sweep(); err != nil || len(removed) != 0 {
			t.Errorf("%s: again: %q %v", name, removed, err)
		}
		tidy(t, s)
		must(t, spoilTwice(t, s, spoil))
		add(t, s, "", infoOf("a"))
		tidy(t, s)
		if !s.Has(storePath("a")) {
			t.Errorf("%s: it does not come again", name)
		}
	}
}

func spoilTwice(t *testing.T, s *Store, spoil func(*Store, nix.StorePath) error) error {
	add(t, s, "", infoOf("a"))
	return spoil(s, storePath("a"))
}

// Who works on the store is not disturbed.
func TestSweepWhileBusy(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if removed, err := s.Sweep(); err != nil || len(removed) != 0 {
		t.Error(removed, err)
	}
	w, err := s.Begin(t.Context(), nil)
	must(t, err)
	must(t, w.Add(infoOf("a", "b"), bytes.NewReader(tools("a"))))
	if removed, err := s.Sweep(); err != nil || len(removed) != 0 {
		t.Error(removed, err)
	}
	must(t, w.Add(infoOf("b"), bytes.NewReader(tools("b"))))
	must(t, w.Finish())
	if !s.Has(storePath("a")) {
		t.Error("it is gone")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", ".", "..", ".x", "-x", "a/b", "a b", "ä", strings.Repeat("n", 65)} {
		if CheckName(bad) == nil {
			t.Errorf("%q is a name", bad)
		}
	}
	s := newStore(t)
	w, err := s.Begin(t.Context(), nil)
	must(t, err)
	if err := w.Keep(Root{Name: "x", Paths: []nix.StorePath{storePath("a")}}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	must(t, w.Finish())
	if roots, err := s.Roots(); err != nil || len(roots) != 0 {
		t.Error(roots, err)
	}
}
