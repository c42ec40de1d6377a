package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hostile are streams that try to leave the place they are put.
func hostile(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"nothing":                    nil,
		"an unknown kind":            {'x'},
		"no tar":                     append([]byte{kindTree}, strings.Repeat("rubbish ", 200)...),
		"up":                         tarOf(t, kindTree, file("../canary/file")),
		"far up":                     tarOf(t, kindTree, file("a/../../../canary/file")),
		"through a link":             tarOf(t, kindTree, symlink("l", "../../canary"), file("l/file")),
		"through an absolute link":   tarOf(t, kindTree, symlink("l", "/"), file("l/etc/berth-test-escape")),
		"through a chain of links":   tarOf(t, kindTree, dir("d"), symlink("d/l", ".."), symlink("m", "d/l/.."), file("m/escape")),
		"through a replaced dir":     tarOf(t, kindTree, dir("d"), symlink("d", "../../canary"), file("d/file")),
		"a hard link out":            tarOf(t, kindTree, hardlink("h", "../canary/file"), file("h")),
		"a hard link through a link": tarOf(t, kindTree, symlink("l", "../../canary/file"), hardlink("h", "l/../file"), file("h")),
		"file: up":                   tarOf(t, kindFile, file("../file")),
		"file: another name":         tarOf(t, kindFile, file("other")),
		"file: a link":               tarOf(t, kindFile, symlink("file", "../../canary/file")),
		"file: a directory":          tarOf(t, kindFile, dir("file"), file("file/x")),
		"file: a FIFO":               tarOf(t, kindFile, tar.Header{Typeflag: tar.TypeFifo, Name: "file"}),
		"file: a device":             tarOf(t, kindFile, device("file")),
		"file: a hard link out":      tarOf(t, kindFile, hardlink("file", "../../canary/file")),
		"file: through a link":       tarOf(t, kindFile, symlink("l", "../../canary"), hardlink("file", "l/file")),
		"file: nothing":              tarOf(t, kindFile),
	}
}

// TestHostileStreams wants an error, and nothing outside.
func TestHostileStreams(t *testing.T) {
	t.Parallel()
	for name, stream := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, o := range []Options{{}, {KeepOwners: true}} {
				s := newSandbox(t)
				err := Receive(t.Context(), bytes.NewReader(stream), s.dir, "name", o)
				if err == nil {
					t.Errorf("%+v: received as\n%s", o, listing(t, s.dir, ""))
				}
				s.check(t)
				if _, err := os.Lstat("/etc/berth-test-escape"); err == nil {
					t.Error("there is a new file in /etc")
				}
				if got := listing(t, s.dir, "name"); got != "" {
					t.Errorf("left in the directory:\n%s", got)
				}
			}
		})
	}
}

// TestHarmlessTricks receives streams that are odd but stay inside.
func TestHarmlessTricks(t *testing.T) {
	t.Parallel()
	setuid := file("file")
	setuid.Mode = 0o6755
	for name, c := range map[string]struct {
		stream []byte
		want   string // listing of what arrived
	}{
		"setuid":             {tarOf(t, kindFile, setuid), "name -rwxr-xr-x 0:0 \"hostile\"\n"},
		"more than the file": {tarOf(t, kindFile, file("a"), file("file"), dir("b")), "name -rwxr-xr-x 0:0 \"hostile\"\n"},
		"the file twice":     {tarOf(t, kindFile, symlink("file", "/etc/passwd"), file("file")), "name -rwxr-xr-x 0:0 \"hostile\"\n"},
		"a link as it is":    {tarOf(t, kindTree, symlink("l", "/etc/passwd")), "name drwxr-xr-x 0:0 \"\"\nname/l Lrwxrwxrwx 0:0 \"/etc/passwd\"\n"},
		"a device":           {tarOf(t, kindTree, device("mem")), "name drwxr-xr-x 0:0 \"\"\n"},
	} {
		s := newSandbox(t)
		if err := Receive(t.Context(), bytes.NewReader(c.stream), s.dir, "name", Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := listing(t, s.dir, ""); got != c.want {
			t.Errorf("%s:\n%s", name, got)
		}
		s.check(t)
	}
}

// FuzzReceive receives anything, and watches what lies beside the place.
func FuzzReceive(f *testing.F) {
	for _, s := range hostile(f) {
		f.Add(s)
	}
	f.Add(tarOf(f, kindFile, file("file")))
	f.Add(tarOf(f, kindTree, dir("d"), file("d/f"), symlink("l", "d"), hardlink("h", "d/f")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := newSandbox(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := Receive(ctx, bytes.NewReader(stream), s.dir, "name", Options{})
		if ctx.Err() != nil {
			t.Fatal("it takes more than ten seconds")
		}
		s.check(t)
		if _, statErr := os.Lstat(filepath.Join(s.dir, "name")); err == nil && statErr != nil {
			t.Errorf("received, but not there: %v", statErr)
		}
		if got := listing(t, s.dir, "name"); got != "" && !strings.HasPrefix(got, "name ") {
			t.Errorf("beside the place:\n%s", got)
		}
	})
}
