//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nix-community/go-nix/pkg/nar"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
)

// nixCache is a binary cache in a directory, with paths that it signs.
type nixCache struct {
	b      *berth
	dir    string
	public string
	signer *nix.Signer
}

func newNixCache(b *berth) *nixCache {
	b.Helper()
	secret, public, err := signature.GenerateKeypair("e2e-1", nil)
	must(b, err)
	signer, err := nix.ParseSigner(secret.String())
	must(b, err)
	return &nixCache{b, b.TempDir(), public.String(), signer}
}

// put adds a path with one file, and gives it.
func (c *nixCache) put(name string, refs ...nix.StorePath) nix.StorePath {
	c.b.Helper()
	tree := filepath.Join(c.b.TempDir(), "tree")
	must(c.b, os.MkdirAll(filepath.Join(tree, "bin"), 0o755))
	must(c.b, os.WriteFile(filepath.Join(tree, "bin", name), bytes.Repeat([]byte(name+"\n"), 1000), 0o755))
	var archive bytes.Buffer
	must(c.b, nar.DumpPath(&archive, tree))
	sum, hash := sha256.Sum256(archive.Bytes()), sha256.Sum256([]byte(name))
	p, err := nix.ParsePath(nixbase32.EncodeToString(hash[:20]) + "-" + name)
	must(c.b, err)
	info := nix.Info{Path: p, NarHash: nix.FormatHash(sum[:]), NarSize: int64(archive.Len()), References: refs}
	must(c.b, c.signer.Sign(&info))
	f, err := cache.Fill(c.dir)
	must(c.b, err)
	_, err = f.Put(info, "zstd", 1, func(w io.Writer) error {
		_, err := w.Write(archive.Bytes())
		return err
	})
	must(c.b, err)
	return p
}

// TestNix takes a closure through the commands of berth nix, on a host whose
// Nix, if it has one, nobody asks.
func TestNix(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	c := newNixCache(b)
	lib := c.put("lib-1")
	app := c.put("app-2", lib)
	server := httptest.NewServer(http.FileServer(http.Dir(c.dir)))
	defer server.Close()
	store := filepath.Join(b.root, "var/lib/berth/nix/store")

	r := b.fails(1, "nix", "pull", server.URL, string(app))
	b.has(r.err, "signed by e2e-1, and not by a key that is trusted", "hint: ", "--trusted-public-key")
	is(t, "stdout of a refused pull", r.out, "")
	b.fails(2, "nix", "pull", server.URL, "nonsense")
	b.fails(2, "nix", "pull", "nonsense", string(app))
	b.has(b.fails(1, "nix", "pull", server.URL, strings.Repeat("0", 32), "--trusted-public-key", c.public).err, "the cache does not have it")

	must(t, os.MkdirAll(filepath.Join(b.root, "etc/berth"), 0o755))
	must(t, os.WriteFile(filepath.Join(b.root, "etc/berth/berth.yaml"), fmt.Appendf(nil, "nix: { trustedPublicKeys: ['%s'] }\n", c.public), 0o600))
	is(t, "what is pulled", b.out("nix", "pull", server.URL, app.Hash(), "--name", "web"), string(app))
	text, err := os.ReadFile(filepath.Join(store, app.Base(), "bin/app-2"))
	must(t, err)
	is(t, "the file", string(text), strings.Repeat("app-2\n", 1000))
	server.Close()
	is(t, "what is there already", b.out("nix", "pull", server.URL, string(app)), string(app))
	b.has(b.out("nix", "ls"), string(app), string(lib), "web")

	b.has(b.run("nix", "gc").err, "0 store paths removed")
	copied := filepath.Join(t.TempDir(), "cache")
	b.run("nix", "push", "file://"+copied, "web")
	b.has(b.fails(3, "nix", "rm", "nobody").err, "berth nix ls")
	b.run("nix", "rm", "web")
	b.has(b.run("nix", "gc").err, string(app)+": removed", string(lib)+": removed", "2 store paths removed")
	left, err := os.ReadDir(store)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	is(t, "what comes from the copy", b.out("nix", "pull", copied, string(lib)), string(lib))

	var all []struct {
		Path, Dir string
		Names     []string
	}
	b.json(&all, "nix", "ls", "--json")
	if len(all) != 1 || all[0].Path != string(lib) || all[0].Dir != filepath.Join(store, lib.Base()) || len(all[0].Names) != 0 {
		t.Errorf("%+v", all)
	}
	b.has(b.run("nix", "gc").err, "1 store paths removed")
	must(t, os.Remove(filepath.Join(b.root, "etc/berth/berth.yaml")))
}

// TestNixPushSSH brings a closure from one machine to another by SSH, whose
// stores are berth's own, or Nix's. Both are guests: one has OpenSSH's client,
// the other its server.
func TestNixPushSSH(t *testing.T) {
	l := newLan(t)
	s := l.systems()
	c := newNixCache(l.berth)
	app := c.put("app-2", c.put("lib-1"))
	l.declare(fmt.Sprintf(`
containers:
  near: &machine
    image: tar:%s
    privateNetwork: true
    bindMounts:
      /usr/local/bin: { hostPath: %s }
      /nix/store: { hostPath: /nix/store }
      /srv/cache: { hostPath: %s }
  far: *machine
`, initImage("ssh"), filepath.Dir(os.Getenv(binaryVariable)), c.dir))
	l.ownImages().run("up")
	l.in("near", "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; berth nix pull /srv/cache "+string(app)+" --name app --trusted-public-key "+c.public)
	push := func(to string) string {
		t.Helper()
		return l.in("near", "NIX_SSHOPTS='-o StrictHostKeyChecking=no -o BatchMode=yes' berth nix push "+to+" app 2>&1 || echo it ended with $?")
	}
	l.has(push("ssh://root@far"), "berth: push ssh://root@far: ", "Permission denied", "hint: check that ssh root@far true works", "it ended with 1")
	l.in("far", "mkdir -p /root/.ssh; echo '"+l.in("near", "cat /root/.ssh/id_ed25519.pub")+"' >/root/.ssh/authorized_keys; systemctl is-active --wait ssh")
	l.has(push("ssh://root@far"), "2 store paths written")
	l.has(push("ssh://root@far:22/"), "0 store paths written")
	is(t, "the file", l.in("far", "cat /var/lib/berth/nix/store/"+app.Base()+"/bin/app-2"), strings.TrimSpace(strings.Repeat("app-2\n", 1000)))
	l.has(l.in("far", "berth nix ls; berth nix gc 2>&1"), string(app), "2 store paths removed")
	l.has(push("ssh://root@far?remote-program=no-such-program"), "no-such-program", "hint: ", "it ended with 1")

	l.in("far", `cat >/usr/bin/nix-store <<'END'
#!/bin/sh
NIX_REMOTE=/srv/nix exec `+s.Nix+`/nix-store --option build-users-group '' "$@"
END
chmod +x /usr/bin/nix-store`)
	l.has(push("ssh://root@far"), "2 store paths written")
	l.has(push("ssh://root@far"), "0 store paths written")
	l.in("far", "nix-store --verify --check-contents; cmp /srv/nix"+string(app)+"/bin/app-2 /dev/stdin <<'END'\n"+strings.Repeat("app-2\n", 1000)+"END")
	is(t, "berth's own store", l.in("far", "berth nix ls --json"), "[]")
	l.in("far", "systemctl stop ssh ssh.socket 2>/dev/null || systemctl stop ssh")
	l.has(push("ssh://root@far"), "Connection refused", "hint: check that ssh root@far true works")
	l.run("down")
}
