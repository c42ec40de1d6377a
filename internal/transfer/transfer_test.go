package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// copyTo sends what is at from to the place to, as a copy between two
// processes does.
func copyTo(t testing.TB, from, to string, o Options) error {
	t.Helper()
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := Send(t.Context(), w, from, o)
		sent <- errors.Join(err, w.CloseWithError(err))
	}()
	received := Receive(t.Context(), r, to, filepath.Base(from), o)
	r.Close()
	if err := <-sent; err != nil {
		return err
	}
	return received
}

func TestTree(t *testing.T) {
	t.Parallel()
	from := newTree(t)
	want := listing(t, from, "")
	rooted := regexp.MustCompile(`(?m) \d+:\d+ "`).ReplaceAllString(want, ` 0:0 "`)
	for _, c := range []struct {
		to   string // in the sandbox
		at   string // where it is found there
		o    Options
		want string
	}{
		{".", "tree", Options{KeepOwners: true}, want},
		{"new", "new", Options{KeepOwners: true}, want},
		{"new/", "new", Options{}, rooted},
	} {
		s := newSandbox(t)
		for range 2 { // the second time over the first, in its place
			must(t, copyTo(t, from, filepath.Join(s.dir, c.to), c.o))
			if got := listing(t, filepath.Join(s.dir, c.at), "tree"); got != c.want {
				t.Errorf("%s, %+v:\ngot\n%swant\n%s", c.to, c.o, got, c.want)
			}
			if c.at == "new" { // is a directory now, into which the second goes
				c.at = "new/tree"
			}
		}
		s.check(t)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	from := newTree(t) + "/file"
	for _, c := range []struct {
		lay  func(dir string) error
		to   string
		at   string
		want string // of the listing; empty: an error
	}{
		{func(string) error { return nil }, ".", "file", `-rw-r----- 0:0 "content"`},
		{func(string) error { return nil }, "new", "new", `-rw-r----- 0:0 "content"`},
		{func(d string) error { return os.WriteFile(d+"/old", []byte("old"), 0o777) }, "old", "old", `-rw-r----- 0:0 "content"`},
		{func(d string) error { return os.Symlink("../canary/file", d+"/file") }, ".", "file", `-rw-r----- 0:0 "content"`},
		{func(d string) error { return os.Symlink("../canary/file", d+"/link") }, "link", "link", `-rw-r----- 0:0 "content"`},
		{func(d string) error { return os.Symlink("nowhere", d+"/dead") }, "dead", "dead", `-rw-r----- 0:0 "content"`},
		{func(d string) error { return os.Mkdir(d+"/file", 0o755) }, ".", "file", ""},
		{func(string) error { return nil }, "missing/new", "missing", ""},
		{func(d string) error { return os.WriteFile(d+"/old", nil, 0o644) }, "old/new", "old/new", ""},
		{func(d string) error { return unix.Mkfifo(d+"/fifo", 0o644) }, "fifo", "fifo", ""},
		{func(d string) error { return unix.Mknod(d+"/null", unix.S_IFCHR, int(unix.Mkdev(1, 3))) }, "null", "null", ""},
	} {
		s := newSandbox(t)
		must(t, c.lay(s.dir))
		before := listing(t, s.dir, "")
		err := copyTo(t, from, filepath.Join(s.dir, c.to), Options{})
		after := listing(t, s.dir, "")
		if c.want == "" && (err == nil || after != before) {
			t.Errorf("to %s: %v, and\n%s", c.to, err, after)
		}
		if c.want != "" && (err != nil || !strings.Contains(after, c.at+" "+c.want+"\n")) {
			t.Errorf("to %s: %v, and\n%s", c.to, err, after)
		}
		s.check(t)
	}
}

func TestFileKeepsItsOwner(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	must(t, copyTo(t, newTree(t)+"/file", s.dir, Options{KeepOwners: true}))
	if got := listing(t, s.dir, ""); got != "file -rw-r----- 1000:100 \"content\"\n" {
		t.Error(got)
	}
}

// TestSendFollows sends what a link leads to.
func TestSendFollows(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	must(t, os.Symlink("tree/file", tree+"-file"))
	must(t, os.Symlink("tree", tree+"-dir"))
	s := newSandbox(t)
	must(t, copyTo(t, tree+"-file", s.dir, Options{}))
	must(t, copyTo(t, tree+"-dir", s.dir, Options{}))
	if got := listing(t, s.dir, "tree-dir"); got != "tree-file -rw-r----- 0:0 \"content\"\n" {
		t.Error(got)
	}
	if got := listing(t, s.dir+"/tree-dir", ""); !strings.Contains(got, "sub/hard") {
		t.Error(got)
	}
}

func TestSendErrors(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	if err := Send(t.Context(), io.Discard, tree+"/missing", Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	for _, path := range []string{tree + "/fifo", "/dev/null"} {
		if err := Send(t.Context(), io.Discard, path, Options{}); err == nil || !strings.Contains(err.Error(), "neither a file nor a directory") {
			t.Errorf("%s: %v", path, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Send(ctx, io.Discard, tree, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCutShort receives every beginning of a stream: no half file takes the
// place of a whole one.
func TestCutShort(t *testing.T) {
	t.Parallel()
	var whole bytes.Buffer
	must(t, Send(t.Context(), &whole, newTree(t)+"/file", Options{}))
	s := newSandbox(t)
	must(t, os.WriteFile(s.dir+"/file", []byte("old"), 0o600))
	for n := range whole.Len() - 1024 { // of the end marker one block is enough
		if err := Receive(t.Context(), bytes.NewReader(whole.Bytes()[:n]), s.dir, "file", Options{}); err == nil {
			t.Fatalf("%d bytes of %d are enough", n, whole.Len())
		}
	}
	if got := listing(t, s.dir, ""); got != "file -rw------- 0:0 \"old\"\n" {
		t.Error(got)
	}
	s.check(t)
	must(t, Receive(t.Context(), &whole, s.dir, "file", Options{}))
}
