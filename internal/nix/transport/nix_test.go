package transport

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
)

// theNix is Nix itself, with a store, a key and settings of its own.
type theNix struct {
	t   *testing.T
	dir string
}

func newNix(t *testing.T) theNix {
	t.Helper()
	n := theNix{t, t.TempDir()}
	must(t, os.Mkdir(n.path("conf"), 0o755))
	conf := "build-users-group =\nsubstituters =\nsandbox = false\nexperimental-features = nix-command flakes\n"
	must(t, os.WriteFile(n.path("conf/nix.conf"), []byte(conf), 0o644))
	n.run("nix-store", "--generate-binary-cache-key", "cache-1", n.path("secret"), n.path("public"))
	t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+w", n.dir).Run() }) // Nix's own store
	return n
}

func (n theNix) path(name string) string { return filepath.Join(n.dir, name) }

func (n theNix) run(args ...string) string {
	n.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+n.dir, "NIX_CONF_DIR="+n.path("conf"), "NIX_REMOTE="+n.path("store"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("%q: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (n theNix) read(name string) string {
	n.t.Helper()
	b, err := os.ReadFile(n.path(name))
	must(n.t, err)
	return string(b)
}

// closure makes three store paths that refer to one another, and gives the
// topmost.
func (n theNix) closure() string {
	n.t.Helper()
	tree := n.path("tree")
	must(n.t, os.MkdirAll(filepath.Join(tree, "bin", "empty"), 0o755))
	must(n.t, os.WriteFile(filepath.Join(tree, "bin", "run"), []byte("#!/bin/sh\n"), 0o755))
	must(n.t, os.WriteFile(filepath.Join(tree, "bin-run"), bytes.Repeat([]byte("big"), 1_000_000), 0o644))
	must(n.t, os.WriteFile(filepath.Join(tree, "nothing"), nil, 0o644))
	must(n.t, os.Symlink("../../etc/shadow", filepath.Join(tree, "link")))
	expr := `builtins.toFile "top" "${builtins.toFile "middle" "${` + tree + `}"} ${` + tree + `}"`
	var top string
	must(n.t, json.Unmarshal([]byte(n.run("nix-instantiate", "--eval", "--read-write-mode", "--json", "--expr", expr)), &top))
	return top
}

// TestNix pulls what Nix has pushed, in all its compressions and both ways, and
// lets Nix take what berth pushes.
func TestNix(t *testing.T) {
	t.Parallel()
	n := newNix(t)
	top := n.closure()
	k, err := nix.ParseKeys([]string{n.read("public")})
	must(t, err)
	for _, compression := range []string{"xz", "zstd", "none", "bzip2", "gzip"} {
		t.Run(compression, func(t *testing.T) {
			n := theNix{t, n.dir}
			dir := n.path("cache-" + compression)
			n.run("nix", "copy", "--to", "file://"+dir+"?compression="+compression+"&secret-key="+n.path("secret"), top)
			server := httptest.NewServer(http.FileServer(http.Dir(dir)))
			defer server.Close()
			for _, where := range []string{"file://" + dir, server.URL} {
				s := newStore(t)
				p, err := Pull(t.Context(), s, openCache(t, where), []string{top}, PullOptions{Keys: k})
				if err != nil || p.Fetched != 3 {
					t.Fatalf("%s: %+v %v", where, p, err)
				}
				for _, i := range whole(t, s) {
					if got, want := n.run("nix-store", "--dump", s.Dir(i.Path)), n.run("nix-store", "--dump", n.path("store")+string(i.Path)); got != want {
						t.Errorf("%s is not what Nix has", i.Path)
					}
				}
				n.takes(s.Dir(p.Paths[0]), func(to string) error {
					f, err := cache.Fill(to)
					if err == nil {
						_, err = Push(t.Context(), s, f, p.Paths, PushOptions{Compression: map[string]string{"xz": "xz", "none": "none"}[compression]})
					}
					return err
				}, top)
			}
		})
	}
}

// takes lets Nix copy a path from a cache that push fills, into a store that
// does not have it.
func (n theNix) takes(want string, push func(string) error, top string) {
	t := n.t
	t.Helper()
	dir := t.TempDir()
	must(t, push(filepath.Join(dir, "cache")))
	into := filepath.Join(dir, "store")
	t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+w", into).Run() })
	n.run("nix", "--store", into, "copy", "--from", "file://"+filepath.Join(dir, "cache"), "--option", "trusted-public-keys", n.read("public"), top)
	got, err := os.ReadFile(into + top)
	must(t, err)
	b, err := os.ReadFile(want)
	must(t, err)
	if !bytes.Equal(got, b) {
		t.Errorf("Nix has %q, not %q", got, b)
	}
}

// TestNixUnsigned pulls what Nix has not signed.
func TestNixUnsigned(t *testing.T) {
	t.Parallel()
	n := newNix(t)
	top := n.closure()
	n.run("nix", "copy", "--to", "file://"+n.path("cache"), top)
	k, err := nix.ParseKeys([]string{n.read("public")})
	must(t, err)
	s := newStore(t)
	if p, err := Pull(t.Context(), s, openCache(t, n.path("cache")), []string{top}, PullOptions{Keys: k}); err == nil || len(whole(t, s)) != 0 {
		t.Fatal(p, err)
	}
	n.run("nix", "store", "sign", "--store", "file://"+n.path("cache"), "--key-file", n.path("secret"), "--recursive", top)
	if p, err := Pull(t.Context(), s, openCache(t, n.path("cache")), []string{top}, PullOptions{Keys: k}); err != nil || p.Fetched != 3 {
		t.Fatal(p, err)
	}
}
