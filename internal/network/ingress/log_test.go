package ingress

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// TestLog reads the log while it is written, and over a change of its file.
func TestLog(t *testing.T) {
	t.Parallel()
	paths := state.Paths{Root: t.TempDir()}
	read := func() (out []string) {
		t.Helper()
		if err := Log(t.Context(), paths, func(r container.Request) { out = append(out, r.URI) }, nil); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := read(); len(got) > 0 {
		t.Errorf("of no log: %v", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	live, came, ended := make(chan bool), make(chan string, 10), make(chan error, 1)
	go func() {
		ended <- Log(ctx, paths, func(r container.Request) { came <- r.URI }, func() { close(live) })
	}()
	<-live
	l, err := openAccess(paths.IngressLog())
	if err != nil {
		t.Fatal(err)
	}
	add := func(uri string) {
		t.Helper()
		l.add(container.Request{Container: "web", URI: uri})
		if got := <-came; got != uri {
			t.Errorf("followed: %s, not %s", got, uri)
		}
	}
	add("/1")
	if _, err := l.file.WriteString("{\"uri\": \"/half\n"); err != nil { // its writer was killed
		t.Fatal(err)
	}
	add("/2")
	for _, uri := range []string{"/3", "/4"} {
		if err := l.rotate(); err != nil {
			t.Fatal(err)
		}
		add(uri)
	}
	if got := read(); !slices.Equal(got, []string{"/3", "/4"}) {
		t.Errorf("what is kept: %v", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(paths.IngressLog()); err != nil {
		t.Fatal(err)
	}
	if got := read(); !slices.Equal(got, []string{"/3"}) {
		t.Errorf("of the old file alone: %v", got)
	}
}
