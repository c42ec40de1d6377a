package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nix-community/go-nix/pkg/nar"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/serve"
	"github.com/berth-containers/berth/internal/nix/store"
)

// servedEnv makes the test binary serve the store in that directory.
const servedEnv = "BERTH_TEST_SERVE"

// fakeSSH has this machine be the host that ssh reaches. What ssh itself does
// is what end-to-end tests are about.
func fakeSSH(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	// Nix puts the host first, and waits for a word once it is connected.
	const script = `#!/bin/sh
case "$*" in *"no-such-host"*) echo "ssh: Could not resolve hostname" >&2; exit 255;; *"echo started"*) echo started;; esac
for last; do :; done
case "$last" in *"command -v nix-store"*) echo "not on this machine" >&2; exit 1;; esac
exec sh -c "$last"
`
	must(t, os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func destination(t *testing.T, text string) serve.Destination {
	t.Helper()
	d, err := serve.ParseDestination(text)
	must(t, err)
	return d
}

// filled is a store with a closure of three paths, the last of which is last.
func filled(t *testing.T) (s *store.Store, last nix.StorePath) {
	t.Helper()
	dir := t.TempDir()
	publish(t, dir, true, "c")
	publish(t, dir, true, "b", "b", "c")
	publish(t, dir, true, "a", "b", "c")
	s = newStore(t)
	_, err := Pull(t.Context(), s, openCache(t, dir), []string{string(storePath("a"))}, PullOptions{Keys: keys(t)})
	must(t, err)
	return s, storePath("a")
}

// TestSend brings a closure to another berth, to Nix, and from Nix to berth.
func TestSend(t *testing.T) {
	fakeSSH(t)
	s, last := filled(t)
	there := newStore(t)
	self := "ssh://there?remote-program=env " + servedEnv + "=" + filepath.Dir(there.Dir("x/y")) + " " + os.Args[0]
	self = strings.Replace(self, "/store ", " ", 1)
	p, err := Send(t.Context(), s, destination(t, self), []nix.StorePath{storePath("b")}, PushOptions{})
	must(t, err)
	if p.Written != 2 || len(whole(t, there)) != 2 {
		t.Fatalf("%+v, and there are %v", p, whole(t, there))
	}
	for _, want := range []int{1, 0} {
		p, err = Send(t.Context(), s, destination(t, self), []nix.StorePath{last}, PushOptions{})
		must(t, err)
		if p.Written != want || len(whole(t, there)) != 3 {
			t.Errorf("%+v, and there are %v", p, whole(t, there))
		}
	}
	info, err := there.Info(last)
	must(t, err)
	must(t, keys(t).Verify(info)) // signatures come along

	n := newNix(t)
	program := "env NIX_CONF_DIR=" + n.path("conf") + " NIX_REMOTE=" + n.path("other") + " HOME=" + n.dir + " nix-store"
	p, err = Send(t.Context(), s, destination(t, "ssh://there?remote-program="+program), []nix.StorePath{last}, PushOptions{})
	must(t, err)
	if p.Written != 3 {
		t.Errorf("%+v", p)
	}
	other := theNix{t, n.dir}
	t.Setenv("NIX_CONF_DIR", n.path("conf"))
	out, err := exec.Command("nix-store", "--store", n.path("other"), "--verify", "--check-contents").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if p, err = Send(t.Context(), s, destination(t, "ssh://there?remote-program="+program), []nix.StorePath{last}, PushOptions{}); err != nil || p.Written != 0 {
		t.Errorf("again: %+v %v", p, err)
	}

	top := n.closure()
	other.run("nix", "copy", "--to", self, top)
	path, err := nix.ParsePath(top)
	must(t, err)
	if got := other.run("nix-store", "--dump", there.Dir(path)); got != other.run("nix-store", "--dump", n.path("store")+top) || len(whole(t, there)) != 6 {
		t.Errorf("it is not what Nix has, or not all: %v", whole(t, there))
	}
	other.run("nix", "copy", "--to", self, top)
}

// TestSendFails tells what the other end has said, and leaves nothing halfway.
func TestSendFails(t *testing.T) {
	fakeSSH(t)
	s, last := filled(t)
	for where, want := range map[string]string{
		"ssh://no-such-host": "push ssh://no-such-host: ssh: Could not resolve hostname",
		"ssh://root@there?remote-program=echo hello, world %26%26 cat %23":        "does not speak the protocol",
		"ssh://there?remote-program=no-such-program":                              "no-such-program",
		"ssh://there?remote-program=sh -c 'echo a%3B echo b%3B exit 3' >%262 %23": "a; b",
	} {
		_, err := Send(t.Context(), s, destination(t, where), []nix.StorePath{last}, PushOptions{})
		var e *container.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.Hint == "" {
			t.Errorf("%s: %v, not %q", where, err, want)
		}
	}
	for _, where := range []string{"ssh-ng://there", "ssh://", "ssh:///srv/cache", "ssh://there/srv", "ssh://there?x=y", "ssh://there?remote-program=a;b", "ssh://the re"} {
		var e *container.Error
		if _, err := serve.ParseDestination(where); !errors.As(err, &e) || e.Code != container.CodeUsage {
			t.Errorf("%s: %v", where, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := Send(ctx, s, destination(t, "ssh://there?remote-program=cat %23"), []nix.StorePath{last}, PushOptions{}); err == nil || !strings.Contains(err.Error(), "enough") && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// serving gives a client of a store, and how serving it ends once the client
// has gone.
func serving(t *testing.T, s *store.Store, write bool) (*serve.Client, func() error) {
	t.Helper()
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Serve(t.Context(), s, fromClient, toClient, write)
		_ = toClient.Close()
		_ = fromClient.CloseWithError(io.ErrClosedPipe)
		ended <- err
	}()
	c, err := serve.NewClient(fromServer, toServer)
	must(t, err)
	return c, func() error { _ = toServer.Close(); return <-ended }
}

// TestServeRefuses: a store takes nothing that is not what it is said to be, and
// is whole whatever somebody sends.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	s, last := filled(t)
	archive := func(p nix.StorePath) func(io.Writer) error {
		return func(w io.Writer) error { return nar.DumpPath(w, s.Dir(p)) }
	}
	c := storePath("c")
	for name, test := range map[string]struct {
		path  nix.StorePath
		write bool
		edit  func(*nix.Info)
		dump  func(io.Writer) error
		want  string
	}{
		"without --write":   {c, false, func(*nix.Info) {}, archive(c), "--write"},
		"another hash":      {c, true, func(i *nix.Info) { i.NarHash = nix.FormatHash(make([]byte, 32)) }, archive(c), "its archive has the hash"},
		"without reference": {last, true, func(*nix.Info) {}, archive(last), " refers to "},
		"another path":      {c, true, func(i *nix.Info) { i.Path = "/nix/store/../x" }, archive(c), "StorePath"},
		"another size": {c, true, func(i *nix.Info) { i.NarSize -= 8 }, func(w io.Writer) error {
			var all bytes.Buffer
			err := nar.DumpPath(&all, s.Dir(c))
			_, _ = w.Write(all.Bytes()[:all.Len()-8])
			return err
		}, "its archive has the hash"},
		"no archive": {c, true, func(*nix.Info) {}, func(w io.Writer) error {
			_, err := w.Write(bytes.Repeat([]byte("x"), int(infoOf(t, s, c).NarSize)))
			return err
		}, "not a well-formed Nix archive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			there := newStore(t)
			client, end := serving(t, there, test.write)
			info := infoOf(t, s, test.path)
			test.edit(&info)
			added := make(chan error, 1)
			go func() { added <- client.Added() }()
			_ = client.Add(info, test.dump)
			err := end()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, not %q", err, test.want)
			}
			if err := <-added; err == nil {
				t.Error("it was taken")
			}
			if list := whole(t, there); len(list) > 0 {
				t.Errorf("there is %v", list)
			}
		})
	}
}

func infoOf(t *testing.T, s *store.Store, p nix.StorePath) nix.Info {
	t.Helper()
	i, err := s.Info(p)
	must(t, err)
	return i
}

// FuzzServe has anybody speak to a store.
func FuzzServe(f *testing.F) {
	f.Add([]byte("\xeb\x9d\x0c\x39\x00\x00\x00\x00\x05\x02\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		s := newStore(t)
		_ = Serve(t.Context(), s, bytes.NewReader(said), io.Discard, true)
		whole(t, s)
	})
}
