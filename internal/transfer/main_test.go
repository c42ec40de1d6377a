package transfer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// sandbox is a directory to receive into, with a canary beside it.
type sandbox struct {
	outer, dir string
	before     string
}

func newSandbox(t testing.TB) *sandbox {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests set owners: run them as root")
	}
	s := &sandbox{outer: t.TempDir()}
	s.dir = filepath.Join(s.outer, "dir")
	must(t, os.MkdirAll(s.dir, 0o755))
	must(t, os.MkdirAll(s.outer+"/canary/sub", 0o755))
	must(t, os.WriteFile(s.outer+"/canary/file", []byte("alive"), 0o644))
	s.before = s.look(t)
	return s
}

// check fails the test when anything but the directory has changed, or when
// something unfinished is left in it.
func (s *sandbox) check(t testing.TB) {
	t.Helper()
	if after := s.look(t); after != s.before {
		t.Errorf("outside of the directory, before:\n%safter:\n%s", s.before, after)
	}
	left, err := filepath.Glob(s.dir + "/.berth-cp-*")
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func (s *sandbox) look(t testing.TB) string {
	t.Helper()
	return listing(t, s.outer, "dir")
}

// listing describes the tree at root without the directory skip.
func listing(t testing.TB, root, skip string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == skip {
			return fs.SkipDir
		}
		path := filepath.Join(root, name)
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := ""
		switch {
		case info.Mode().IsRegular():
			var content []byte
			content, err = os.ReadFile(path)
			text = string(content)
		case info.Mode().Type() == fs.ModeSymlink:
			text, err = os.Readlink(path)
		}
		if name != "." { // whose mode is the test's affair
			fmt.Fprintf(&b, "%s %v %d:%d %q\n", name, info.Mode(), st.Uid, st.Gid, text)
		}
		return err
	})
	must(t, err)
	return b.String()
}

// tarOf is a tar stream behind the byte kind.
func tarOf(t testing.TB, kind byte, headers ...tar.Header) []byte {
	t.Helper()
	b := bytes.NewBuffer([]byte{kind})
	w := tar.NewWriter(b)
	for _, h := range headers {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = "hostile"
		}
		h.Size = int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		must(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(body))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func file(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
func dir(name string) tar.Header  { return tar.Header{Typeflag: tar.TypeDir, Name: name} }
func symlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}
func hardlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}
func device(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeChar, Name: name, Devmajor: 1, Devminor: 1}
}

// newTree is a tree of every kind of file.
func newTree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, os.MkdirAll(dir+"/sub/empty", 0o755))
	must(t, os.WriteFile(dir+"/file", []byte("content"), 0o640))
	must(t, os.WriteFile(dir+"/sub/Ä b\n", nil, 0o600))
	must(t, os.WriteFile(dir+"/sparse", nil, 0o644))
	must(t, os.Truncate(dir+"/sparse", 1<<16))
	must(t, os.Symlink("../outside", dir+"/link"))
	must(t, os.Link(dir+"/file", dir+"/sub/hard"))
	must(t, unix.Mkfifo(dir+"/fifo", 0o620))
	must(t, os.Chown(dir+"/file", 1000, 100))
	must(t, os.Lchown(dir+"/link", 5, 6))
	must(t, os.Chown(dir+"/sub", 7, 8))
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
