package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nix-community/go-nix/pkg/nar"
	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
	"github.com/berth-containers/berth/internal/nix/store"
)

const (
	secretKey = "test1:jbX9NxZp8WB/coK8k7yLf0gNYmBbIbCrOFwgJgI7OV+0sASf4R5oFQlioSlN3bJ56uvshzr7S9Z75pcv+9hSkQ=="
	publicKey = "test1:tLAEn+EeaBUJYqEpTd2yeerr7Ic6+0vWe+aXL/vYUpE="
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// storePath is the path with a name.
func storePath(name string) nix.StorePath {
	sum := sha256.Sum256([]byte(name))
	return nix.StorePath(nix.StoreDir + "/" + nixbase32.EncodeToString(sum[:20]) + "-" + name)
}

// publish writes a path to a cache, with a tree that nobody else has and a
// file that everybody has.
func publish(t *testing.T, dir string, sign bool, name string, refs ...string) {
	t.Helper()
	tree := filepath.Join(t.TempDir(), name)
	must(t, os.MkdirAll(filepath.Join(tree, "bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(tree, "licence"), []byte("as is"), 0o644))
	must(t, os.WriteFile(filepath.Join(tree, "bin", name), bytes.Repeat([]byte(name), 10_000), 0o755))
	info := nix.Info{Path: storePath(name), References: []nix.StorePath{}}
	for _, r := range refs {
		info.References = append(info.References, storePath(r))
	}
	slices.Sort(info.References)
	var b bytes.Buffer
	must(t, nar.DumpPath(&b, tree))
	sum := sha256.Sum256(b.Bytes())
	info.NarHash, info.NarSize = nix.FormatHash(sum[:]), int64(b.Len())
	if sign {
		s, err := nix.ParseSigner(secretKey)
		must(t, err)
		must(t, s.Sign(&info))
	}
	f, err := cache.Fill(dir)
	must(t, err)
	_, err = f.Put(info, "none", 1, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	})
	must(t, err)
}

func keys(t *testing.T) nix.Keys {
	t.Helper()
	k, err := nix.ParseKeys([]string{publicKey})
	must(t, err)
	return k
}

func openCache(t *testing.T, where string) *cache.Cache {
	t.Helper()
	c, err := cache.Open(where, cache.Options{})
	must(t, err)
	return c
}

func newStore(t *testing.T) *store.Store { return store.Open(filepath.Join(t.TempDir(), "nix")) }

// whole fails the test where a store has not just the closure of what it has,
// byte for byte what was published.
func whole(t *testing.T, s *store.Store) []nix.Info {
	t.Helper()
	list, err := s.List()
	must(t, err)
	for _, i := range list {
		_, err := s.Closure(i.Path)
		must(t, err)
		h := sha256.New()
		must(t, nar.DumpPath(h, s.Dir(i.Path)))
		if got := nix.FormatHash(h.Sum(nil)); got != i.NarHash {
			t.Fatalf("%s has the hash %s, not %s", i.Path, got, i.NarHash)
		}
	}
	return list
}

// counting counts what a server is asked for archives.
type counting struct {
	dir http.Handler
	mu  sync.Mutex
	nar []string
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/nar/") {
		c.mu.Lock()
		c.nar = append(c.nar, r.URL.Path)
		c.mu.Unlock()
	}
	c.dir.ServeHTTP(w, r)
}

func (c *counting) archives() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.nar)
}

func TestPull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish(t, dir, true, "c")
	publish(t, dir, true, "b", "b", "c")
	publish(t, dir, true, "a", "b", "c")
	publish(t, dir, true, "d", "c")
	count := &counting{dir: http.FileServer(http.Dir(dir))}
	server := httptest.NewServer(count)
	defer server.Close()
	s, c := newStore(t), openCache(t, server.URL)
	o := PullOptions{Keys: keys(t), Name: "x"}
	p, err := Pull(t.Context(), s, c, []string{string(storePath("a"))}, o)
	if err != nil || p.Fetched != 3 || !slices.Equal(p.Paths, []nix.StorePath{storePath("a")}) {
		t.Fatal(p, err)
	}
	if n := len(whole(t, s)); n != 3 {
		t.Errorf("%d paths", n)
	}
	p, err = Pull(t.Context(), s, c, []string{storePath("d").Hash(), storePath("a").Hash()}, o)
	if err != nil || p.Fetched != 1 || !slices.Equal(p.Paths, []nix.StorePath{storePath("d"), storePath("a")}) {
		t.Fatal(p, err)
	}
	if count.archives() != 4 {
		t.Errorf("archives were fetched: %q", count.nar)
	}
	// Without the cache, what is there can still be named.
	server.Close()
	if p, err = Pull(t.Context(), s, c, []string{storePath("b").Base()}, PullOptions{Name: "y"}); err != nil || p.Fetched != 0 {
		t.Fatal(p, err)
	}
	roots, err := s.Roots()
	if got := fmt.Sprint(roots); err != nil || got != fmt.Sprintf("[{x [%s %s]} {y [%s]}]", storePath("d"), storePath("a"), storePath("b")) {
		t.Error(got, err)
	}
}

// What is refused leaves the store without it, and says what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"unsigned reference": func(t *testing.T, dir string) {
			must(t, os.Remove(narinfo(dir, "c")))
			publish(t, dir, false, "c")
		},
		"missing reference": func(t *testing.T, dir string) { must(t, os.Remove(narinfo(dir, "c"))) },
		"signature of another path": func(t *testing.T, dir string) {
			replace(t, narinfo(dir, "a"), signature(t, dir, "a"), signature(t, dir, "b"))
		},
		"reference left out": func(t *testing.T, dir string) { replace(t, narinfo(dir, "a"), " "+storePath("c").Base(), "") },
		"reference added": func(t *testing.T, dir string) {
			replace(t, narinfo(dir, "c"), "References: ", "References: "+storePath("d").Base())
		},
		"size":              func(t *testing.T, dir string) { replace(t, narinfo(dir, "c"), "NarSize: ", "NarSize: 9") },
		"another's narinfo": func(t *testing.T, dir string) { must(t, os.Rename(narinfo(dir, "b"), narinfo(dir, "c"))) },
		"archive changed": func(t *testing.T, dir string) {
			change(t, archive(t, dir, "c"), func(b []byte) []byte { b[len(b)/2]++; return b })
		},
		"archive cut short": func(t *testing.T, dir string) {
			change(t, archive(t, dir, "c"), func(b []byte) []byte { return b[:len(b)/2] })
		},
		"archive of another": func(t *testing.T, dir string) { must(t, os.Rename(archive(t, dir, "b"), archive(t, dir, "c"))) },
		"archive missing":    func(t *testing.T, dir string) { must(t, os.Remove(archive(t, dir, "c"))) },
		"something behind": func(t *testing.T, dir string) {
			change(t, archive(t, dir, "c"), func(b []byte) []byte { return append(b, 0) })
		},
		"no cache any more": func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "nix-cache-info"))) },
		"a store of its own": func(t *testing.T, dir string) {
			replace(t, filepath.Join(dir, "nix-cache-info"), "/nix/store", "/my/store")
		},
		"narinfo that is none": func(t *testing.T, dir string) {
			change(t, narinfo(dir, "c"), func([]byte) []byte { return []byte("<html>") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			publish(t, dir, true, "c")
			publish(t, dir, true, "b", "c")
			publish(t, dir, true, "a", "b", "c")
			spoil(t, dir)
			s := newStore(t)
			p, err := Pull(t.Context(), s, openCache(t, dir), []string{string(storePath("a"))}, PullOptions{Keys: keys(t), Name: "x"})
			e, ok := errors.AsType[*container.Error](err)
			if !ok || e.Hint == "" {
				t.Errorf("%+v %v", p, err)
			}
			whole(t, s)
			if s.Has(storePath("a")) || s.Has(storePath("c")) {
				t.Error("it is there")
			}
			if roots, err := s.Roots(); err != nil || len(roots) != 0 {
				t.Error(roots, err)
			}
		})
	}
}

func narinfo(dir, name string) string {
	return filepath.Join(dir, storePath(name).Hash()+".narinfo")
}

func archive(t *testing.T, dir, name string) string {
	t.Helper()
	return filepath.Join(dir, line(t, dir, name, "URL"))
}

func signature(t *testing.T, dir, name string) string { return line(t, dir, name, "Sig") }

func line(t *testing.T, dir, name, key string) string {
	t.Helper()
	b, err := os.ReadFile(narinfo(dir, name))
	must(t, err)
	for l := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(l, key+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("%s has no %s", name, key)
	return ""
}

func change(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, f(b), 0o644))
}

func replace(t *testing.T, path, from, to string) {
	t.Helper()
	change(t, path, func(b []byte) []byte {
		if !bytes.Contains(b, []byte(from)) {
			t.Fatalf("%s has no %q", path, from)
		}
		return bytes.Replace(b, []byte(from), []byte(to), 1)
	})
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir())
	for _, names := range [][]string{{"x"}, {"/nix/store"}, {"../x"}, {""}} {
		if _, err := Pull(t.Context(), newStore(t), c, names, PullOptions{}); container.CodeOf(err) != container.CodeUsage {
			t.Errorf("%q: %v", names, err)
		}
	}
	if _, err := Pull(t.Context(), newStore(t), c, []string{string(storePath("a"))}, PullOptions{Name: "../x"}); container.CodeOf(err) != container.CodeUsage {
		t.Error(err)
	}
}

// The name of a path is as much part of it as its hash.
func TestOtherName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish(t, dir, true, "c")
	_, err := Pull(t.Context(), newStore(t), openCache(t, dir), []string{storePath("c").Hash() + "-d"}, PullOptions{Keys: keys(t)})
	if !errors.Is(err, cache.ErrCorrupt) {
		t.Error(err)
	}
}

// What came before an interruption stays, and a pull goes on from there.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	last := chain(t, dir, 20)
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	count := &counting{dir: http.FileServer(http.Dir(dir))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.ServeHTTP(w, r)
		if count.archives() == 10 {
			stop(errors.New("enough"))
		}
	}))
	defer server.Close()
	s, c := newStore(t), openCache(t, server.URL)
	o := PullOptions{Keys: keys(t), Jobs: 1}
	if p, err := Pull(ctx, s, c, []string{string(last)}, o); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Fatal(p, err)
	}
	there := len(whole(t, s))
	p, err := Pull(t.Context(), s, c, []string{string(last)}, o)
	if err != nil || p.Fetched != 20-there || there < 8 {
		t.Errorf("%d fetched, %d were there: %v", p.Fetched, there, err)
	}
	whole(t, s)
}

// chain publishes n paths, each of which refers to the one before, and gives
// the last.
func chain(t *testing.T, dir string, n int) nix.StorePath {
	t.Helper()
	publish(t, dir, true, "p0")
	for i := 1; i < n; i++ {
		publish(t, dir, true, fmt.Sprintf("p%d", i), fmt.Sprintf("p%d", i-1))
	}
	return storePath(fmt.Sprintf("p%d", n-1))
}

func TestPush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish(t, dir, true, "c")
	publish(t, dir, true, "a", "c")
	s := newStore(t)
	_, err := Pull(t.Context(), s, openCache(t, dir), []string{string(storePath("a"))}, PullOptions{Keys: keys(t)})
	must(t, err)
	other, err := nix.ParseSigner("other:" + strings.TrimPrefix(secretKey, "test1:"))
	must(t, err)
	otherKeys, err := nix.ParseKeys([]string{"other:" + strings.TrimPrefix(publicKey, "test1:")})
	must(t, err)
	to := filepath.Join(t.TempDir(), "sub", "cache")
	f, err := cache.Fill(to)
	must(t, err)
	p, err := Push(t.Context(), s, f, []nix.StorePath{storePath("a")}, PushOptions{Signer: other})
	if err != nil || p.Written != 2 || p.Bytes == 0 {
		t.Fatal(p, err)
	}
	if p, err = Push(t.Context(), s, f, []nix.StorePath{storePath("c")}, PushOptions{}); err != nil || p.Written != 0 {
		t.Fatal(p, err)
	}
	for _, k := range []nix.Keys{keys(t), otherKeys} {
		again := newStore(t)
		if p, err := Pull(t.Context(), again, openCache(t, "file://"+to), []string{string(storePath("a"))}, PullOptions{Keys: k}); err != nil || p.Fetched != 2 {
			t.Error(p, err)
		}
		whole(t, again)
	}
	if _, err := Push(t.Context(), s, f, []nix.StorePath{storePath("z")}, PushOptions{}); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
