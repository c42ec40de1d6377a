package archive

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// when is the time of entries that do not say another.
var when = time.Unix(1_700_000_000, 0)

// entry is one entry of a tar stream for tests.
type entry struct {
	tar.Header
	body string
}

func dir(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func file(name, body string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, body: body}
}

func link(kind byte, name, target string) entry {
	return entry{Header: tar.Header{Typeflag: kind, Name: name, Linkname: target, Mode: 0o777}}
}

func symlink(name, target string) entry  { return link(tar.TypeSymlink, name, target) }
func hardlink(name, target string) entry { return link(tar.TypeLink, name, target) }

// stream is a tar stream of entries.
func stream(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.body))
		if e.ModTime.IsZero() {
			e.ModTime = when
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sandbox is a directory to unpack into, with something beside it that must
// not change.
type sandbox struct {
	path   string // of the directory
	root   *os.Root
	outer  *os.Root
	before string
}

func newSandbox(t testing.TB) *sandbox {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests set owners and capabilities: run them as root")
	}
	outer := t.TempDir()
	for name, body := range map[string]string{"canary/file": "alive", "canary/empty/.keep": ""} {
		p := filepath.Join(outer, name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.WriteFile(p, []byte(body), 0o644))
	}
	s := &sandbox{path: filepath.Join(outer, "root")}
	must(t, os.Mkdir(s.path, 0o755))
	s.root, s.outer = openRoot(t, s.path), openRoot(t, filepath.Join(outer, "canary"))
	s.before = s.canary(t)
	return s
}

// check fails the test when anything beside the directory has changed.
func (s *sandbox) check(t testing.TB) {
	t.Helper()
	if s.canary(t) != s.before {
		t.Fatal("a file outside of the directory has changed")
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(s.path), "*"))
	must(t, err)
	if len(names) != 2 {
		t.Fatalf("beside the directory there is more than before: %q", names)
	}
}

func (s *sandbox) canary(t testing.TB) string {
	t.Helper()
	f, err := Fingerprint(t.Context(), s.outer)
	must(t, err)
	body, err := s.outer.ReadFile("file")
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(s.outer.Name(), "file"), &st))
	if st.Nlink != 1 {
		t.Fatal("a file outside of the directory has a new hard link")
	}
	return f + string(body)
}

func (s *sandbox) read(t testing.TB, name string) string {
	t.Helper()
	b, err := s.root.ReadFile(name)
	must(t, err)
	return string(b)
}

func (s *sandbox) lstat(t testing.TB, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(filepath.Join(s.path, name), &st))
	return st
}

func openRoot(t testing.TB, path string) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(path)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
