package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
)

const (
	theHash = "00bgd045z0d4icpbc2yyz4gx48ak44la"
	thePath = nix.StorePath(nix.StoreDir + "/" + theHash + "-a")
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content is long enough for several reads, and does not compress to nothing.
func content() []byte {
	var b bytes.Buffer
	for i := range 30_000 {
		fmt.Fprintf(&b, "%d ", i*7919)
	}
	return b.Bytes()
}

func infoOf(b []byte) nix.Info {
	sum := sha256.Sum256(b)
	return nix.Info{Path: thePath, NarHash: nix.FormatHash(sum[:]), NarSize: int64(len(b)), References: []nix.StorePath{}}
}

// filled is a directory with a cache that has content, as if it were an
// archive.
func filled(t *testing.T, compression string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := Fill(dir)
	must(t, err)
	n, err := f.Put(infoOf(content()), compression, 1, func(w io.Writer) error {
		_, err := w.Write(content())
		return err
	})
	must(t, err)
	if n == 0 {
		t.Fatal("nothing was written")
	}
	return dir
}

func open(t *testing.T, where string) *Cache {
	t.Helper()
	xz, err := exec.LookPath("xz")
	must(t, err)
	c, err := Open(where, Options{XZ: xz})
	must(t, err)
	return c
}

// fetch reads what a cache has.
func fetch(ctx context.Context, c *Cache, change func(*nix.NarInfo)) ([]byte, error) {
	n, err := c.Info(ctx, theHash)
	if err != nil {
		return nil, err
	}
	change(&n)
	r, err := c.Archive(ctx, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func same(*nix.NarInfo) {}

func TestArchive(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"", "zstd", "xz", "none"} {
		c := open(t, "file://"+filled(t, compression))
		must(t, c.Check(t.Context()))
		b, err := fetch(t.Context(), c, same)
		if err != nil || !bytes.Equal(b, content()) {
			t.Errorf("%s: %d bytes, %v", compression, len(b), err)
		}
	}
	c, err := Open(filled(t, "xz"), Options{})
	must(t, err)
	if b, err := fetch(t.Context(), c, same); err != nil || !bytes.Equal(b, content()) {
		t.Errorf("without the program xz: %d bytes, %v", len(b), err)
	}
}

// What a cache says and what it has are two things.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	dirs := []string{filled(t, "zstd"), filled(t, "xz")}
	zeros := nix.FormatHash(make([]byte, sha256.Size))
	for name, change := range map[string]func(*nix.NarInfo){
		"NAR hash":                  func(n *nix.NarInfo) { n.NarHash = zeros },
		"file size":                 func(n *nix.NarInfo) { n.FileSize-- },
		"NAR size, more":            func(n *nix.NarInfo) { n.NarSize++ },
		"NAR size, less":            func(n *nix.NarInfo) { n.NarSize-- },
		"absurd size":               func(n *nix.NarInfo) { n.NarSize = 1 },
		"compression":               func(n *nix.NarInfo) { n.Compression = "none" },
		"bzip2":                     func(n *nix.NarInfo) { n.Compression = "bzip2" },
		"compression of the future": func(n *nix.NarInfo) { n.Compression = "br" },
		"URL":                       func(n *nix.NarInfo) { n.URL = "nar/x" },
		"URL of a directory":        func(n *nix.NarInfo) { n.URL = "nar" },
		"URL with a way out":        func(n *nix.NarInfo) { n.URL = "../../../../../../etc/passwd" },
		"absolute URL":              func(n *nix.NarInfo) { n.URL = "/etc/passwd" },
		"URL elsewhere":             func(n *nix.NarInfo) { n.URL = "file:///etc/passwd" },
	} {
		for _, dir := range dirs {
			_, err := fetch(t.Context(), open(t, dir), change)
			e, ok := errors.AsType[*container.Error](err)
			if !ok || e.Hint == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Files of a cache in a directory that would make us wait or read elsewhere.
func TestHostileDirectory(t *testing.T) {
	t.Parallel()
	dir := filled(t, "none")
	narinfo := filepath.Join(dir, theHash+".narinfo")
	must(t, os.Remove(narinfo))
	must(t, exec.Command("mkfifo", narinfo).Run())
	if n, err := open(t, dir).Info(t.Context(), theHash); err == nil {
		t.Errorf("a pipe: %+v", n)
	}
	must(t, os.Remove(narinfo))
	must(t, os.Symlink("/etc/passwd", narinfo))
	if n, err := open(t, dir).Info(t.Context(), theHash); err == nil || strings.Contains(err.Error(), "root:") {
		t.Errorf("a link that leads out: %+v %v", n, err)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.FileServer(http.Dir(filled(t, "zstd"))))
	defer server.Close()
	for _, c := range []*Cache{open(t, filled(t, "zstd")), open(t, server.URL)} {
		if _, err := c.Info(t.Context(), strings.Repeat("1", 32)); !errors.Is(err, ErrMissing) {
			t.Error(err)
		}
	}
	for _, c := range []*Cache{open(t, t.TempDir()), open(t, "/no/such"), open(t, server.URL+"/nar")} {
		if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no binary cache") {
			t.Error(err)
		}
	}
}

func TestOtherStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "nix-cache-info"), []byte("StoreDir: /gnu/store\n"), 0o644))
	if err := open(t, dir).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "/gnu/store") {
		t.Error(err)
	}
}

func TestOtherPath(t *testing.T) {
	t.Parallel()
	dir := filled(t, "zstd")
	other := strings.Repeat("1", 32)
	must(t, os.Rename(filepath.Join(dir, theHash+".narinfo"), filepath.Join(dir, other+".narinfo")))
	if _, err := open(t, dir).Info(t.Context(), other); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	for where, want := range map[string]string{
		"/srv/cache":                            "/srv/cache",
		"file:///srv/cache?compression=zstd":    "file:///srv/cache",
		"https://user:secret@c.example/x?a=b":   "https://user:xxxxx@c.example/x",
		"s3://b":                                "https://b.s3.amazonaws.com",
		"s3://b/p?region=eu-west-1":             "https://b.s3.eu-west-1.amazonaws.com/p",
		"s3://b/p?endpoint=h:9000&scheme=http":  "http://h:9000/b/p",
		"s3://b?endpoint=h&scheme=file":         "",
		"srv/cache":                             "",
		"file://srv/cache":                      "",
		"ssh://host":                            "",
		"https://":                              "",
		"":                                      "",
		"https://c.example/%zz":                 "",
		"http://[::1]:8080/a":                   "http://[::1]:8080/a",
		"https://cache.nixos.org?priority=10&x": "https://cache.nixos.org",
	} {
		c, err := Open(where, Options{})
		got := ""
		if err == nil {
			got = c.String()
		}
		if got != want {
			t.Errorf("%s: %q, not %q (%v)", where, got, want, err)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	c := open(t, "https://c.example/a/b?x=y")
	for name, want := range map[string]string{
		"nar/x.nar.xz":              "https://c.example/a/b/nar/x.nar.xz",
		"nar/x.nar?sig=1":           "https://c.example/a/b/nar/x.nar?sig=1",
		"https://other.example/nar": "https://other.example/nar",
		"../x":                      "",
		"nar/../../../x":            "",
		"//other.example/x":         "",
		"file:///etc/passwd":        "",
	} {
		u, err := c.source.(*httpSource).resolve(name)
		got := ""
		if err == nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("%s: %q, not %q (%v)", name, got, want, err)
		}
	}
}

// flaky breaks off each answer after some bytes, answers the first requests
// with an error, and counts what it is asked.
type flaky struct {
	dir    http.Handler
	fail   atomic.Int32
	asked  atomic.Int32
	ranges atomic.Int32
	ranged bool // it can go on from where it broke off
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	if f.fail.Add(-1) >= 0 {
		http.Error(w, "later", http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Range") != "" {
		f.ranges.Add(1)
		if !f.ranged {
			r.Header.Del("Range")
		}
	}
	if strings.Contains(r.URL.Path, "/nar/") && f.ranged {
		w = &cutter{w, 100_000}
	} else if strings.Contains(r.URL.Path, "/nar/") && f.ranges.Load() == 0 {
		w = &cutter{w, 100_000}
	}
	f.dir.ServeHTTP(w, r)
}

// cutter ends the connection after some bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left == 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// A connection that breaks, and a server that is not there for a moment, do
// not end a download.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, ranged := range []bool{true, false} {
		f := &flaky{dir: http.FileServer(http.Dir(filled(t, "none"))), ranged: ranged}
		f.fail.Store(2)
		server := httptest.NewServer(f)
		c := open(t, server.URL)
		c.source.(*httpSource).pause = time.Millisecond
		b, err := fetch(t.Context(), c, same)
		if err != nil || !bytes.Equal(b, content()) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		if f.ranges.Load() == 0 {
			t.Error("nothing broke off")
		}
		server.Close()
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	f := &flaky{dir: http.FileServer(http.Dir(filled(t, "none")))}
	f.fail.Store(1000)
	server := httptest.NewServer(f)
	defer server.Close()
	c := open(t, server.URL)
	c.source.(*httpSource).pause = time.Millisecond
	_, err := c.Info(t.Context(), theHash)
	if e, ok := errors.AsType[*container.Error](err); !ok || !strings.Contains(e.Hint, "try again") || f.asked.Load() != tries {
		t.Errorf("%v after %d tries", err, f.asked.Load())
	}
}

// A server that stops in the middle is asked again, and given up in the end; also
// where it starts from the beginning each time.
func TestStall(t *testing.T) {
	t.Parallel()
	dir := http.FileServer(http.Dir(filled(t, "none")))
	for _, begun := range []bool{false, true} {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch nar := strings.Contains(r.URL.Path, "/nar/"); {
			case nar && asked.Add(1) == 1 && begun:
				dir.ServeHTTP(&cutter{w, 100_000}, r)
			case nar:
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			default:
				dir.ServeHTTP(w, r)
			}
		}))
		defer server.Close()
		c := open(t, server.URL)
		s := c.source.(*httpSource)
		s.stall, s.pause = 10*time.Millisecond, time.Millisecond
		_, err := fetch(t.Context(), c, same)
		if e, ok := errors.AsType[*container.Error](err); !ok || !strings.Contains(e.Hint, "try again") || asked.Load() != tries {
			t.Errorf("%v after %d tries, begun: %v", err, asked.Load(), begun)
		}
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	dir := filled(t, "zstd")
	f, err := Fill("file://" + dir)
	must(t, err)
	never := func(io.Writer) error { return errors.New("it was asked for again") }
	if n, err := f.Put(infoOf(content()), "zstd", 1, never); n != 0 || err != nil {
		t.Error(n, err)
	}
	other := infoOf(content())
	other.Path = nix.StorePath(nix.StoreDir + "/" + strings.Repeat("1", 32) + "-b")
	changed := func(w io.Writer) error {
		_, err := w.Write(content()[1:])
		return err
	}
	if _, err := f.Put(other, "zstd", 1, changed); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Error(err)
	}
	if _, err := f.Put(other, "zip", 1, changed); container.CodeOf(err) != container.CodeUsage {
		t.Error(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "nar", "*"))
	must(t, err)
	hidden, err := filepath.Glob(filepath.Join(dir, "nar", ".tmp*"))
	must(t, err)
	if len(files)+len(hidden) != 1 {
		t.Errorf("left over: %q %q", files, hidden)
	}
	if _, err := os.Lstat(filepath.Join(dir, other.Path.Hash()+".narinfo")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Fill("https://c.example"); container.CodeOf(err) != container.CodeUsage {
		t.Error(err)
	}
}

// Whoever is killed while it writes leaves nothing in a cache, for nobody would
// remove it.
func TestFillKilled(t *testing.T) {
	t.Parallel()
	f, err := Fill(t.TempDir())
	must(t, err)
	var seen []string
	n, err := f.Put(infoOf(content()), "none", 1, func(w io.Writer) error {
		_, err := w.Write(content())
		seen, _ = filepath.Glob(filepath.Join(f.dir, "nar/.*"))
		more, _ := filepath.Glob(filepath.Join(f.dir, "nar/*"))
		seen = append(seen, more...)
		return err
	})
	must(t, err)
	if len(seen) > 0 {
		t.Errorf("what a kill would have left: %q", seen)
	}
	if files, _ := filepath.Glob(filepath.Join(f.dir, "nar/*")); n == 0 || len(files) != 1 {
		t.Errorf("%d bytes written, files %q", n, files)
	}
}
