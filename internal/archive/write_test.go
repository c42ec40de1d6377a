package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	a, b := newSandbox(t), newSandbox(t)
	fillTree(t, a.path)
	first := written(t, a.root)
	_, err := Extract(t.Context(), bytes.NewReader(first), b.root, Options{})
	must(t, err)
	if !bytes.Equal(first, written(t, b.root)) {
		t.Error("the copy of a tree gives another stream")
	}
	if !bytes.Equal(first, written(t, a.root)) {
		t.Error("the same tree gives another stream")
	}
	want := []string{
		"5 ./", "5 empty/", "6 fifo", "0 file", "1 hard file", "2 link ../../etc/passwd",
		"5 z/", "2 z/a .", "1 z/hard file", "0 z/zeros", "0 \xff\xfe",
	}
	got := names(t, first)
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("entry %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

// fillTree makes one of everything that travels, and a device and a socket.
func fillTree(t *testing.T, path string) {
	t.Helper()
	p := func(name string) string { return filepath.Join(path, name) }
	must(t, os.Mkdir(p("z"), 0o700))
	must(t, os.Mkdir(p("empty"), 0o755))
	must(t, os.WriteFile(p("file"), []byte("content"), 0o644))
	must(t, os.WriteFile(p("\xff\xfe"), nil, 0o644))
	must(t, os.Link(p("file"), p("hard")))
	must(t, os.Link(p("file"), p("z/hard")))
	must(t, os.Symlink("../../etc/passwd", p("link")))
	must(t, os.Symlink(".", p("z/a")))
	must(t, os.WriteFile(p("z/zeros"), make([]byte, 1<<20), 0o4711))
	must(t, os.Chmod(p("z/zeros"), 0o755|os.ModeSetuid))
	must(t, os.Chown(p("empty"), 3_000_000, 1<<32-2))
	must(t, unix.Mkfifo(p("fifo"), 0o600))
	must(t, unix.Mknod(p("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(p("socket"), unix.S_IFSOCK|0o666, 0))
	must(t, unix.Setxattr(p("file"), "user.note", []byte("\x00binary\n"), 0))
	must(t, unix.Setxattr(p("file"), "trusted.secret", []byte("x"), 0))
	must(t, unix.Setxattr(p("z"), xattrDefaultACL, []byte(aclUser1000), 0))
	must(t, unix.Setxattr(p("z/zeros"), xattrCapability, []byte(capNetRaw), 0))
}

func written(t *testing.T, root *os.Root) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := Write(t.Context(), &b, root, WriteOptions{})
	must(t, err)
	return b.Bytes()
}

// names lists a stream: type, name, target.
func names(t *testing.T, data []byte) (out []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		must(t, err)
		line := string(h.Typeflag) + " " + h.Name
		if h.Linkname != "" {
			line += " " + h.Linkname
		}
		out = append(out, line)
	}
}

func TestWriteStaysOnItsMount(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	for _, name := range []string{"mnt", "other"} {
		must(t, os.Mkdir(filepath.Join(s.path, name), 0o755))
		must(t, os.WriteFile(filepath.Join(s.path, name, "f"), nil, 0o644))
	}
	inMountNamespace(t, func() error {
		mnt := filepath.Join(s.path, "mnt")
		return unix.Mount(filepath.Join(s.path, "other"), mnt, "", unix.MS_BIND, "")
	}, func() {
		root, err := os.OpenRoot(s.path)
		must(t, err)
		defer root.Close()
		got := names(t, written(t, root))
		if len(got) != 4 || got[1] != "5 mnt/" || got[2] != "5 other/" {
			t.Errorf("got %q", got)
		}
	})
}

func TestWriteStops(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	must(t, os.WriteFile(filepath.Join(s.path, "f"), make([]byte, 1<<20), 0o644))
	broken := errors.New("broken pipe")
	r, w := io.Pipe()
	r.CloseWithError(broken)
	if _, err := Write(t.Context(), w, s.root, WriteOptions{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Write(ctx, io.Discard, s.root, WriteOptions{}); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestFingerprintAndUsage(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	fillTree(t, s.path)
	first, err := Fingerprint(t.Context(), s.root)
	must(t, err)
	again, err := Fingerprint(t.Context(), s.root)
	must(t, err)
	if first != again {
		t.Error("it changes by itself")
	}
	must(t, os.WriteFile(filepath.Join(s.path, "file"), make([]byte, 1<<16), 0o644))
	must(t, os.Link(filepath.Join(s.path, "file"), filepath.Join(s.path, "more")))
	usage, err := Usage(t.Context(), s.root)
	must(t, err)
	changed, err := Fingerprint(t.Context(), s.root)
	must(t, err)
	if changed == first {
		t.Error("a change does not show")
	}
	if usage < 1<<20+1<<16 || usage > 1<<20+2<<16 {
		t.Errorf("usage is %d", usage)
	}
}
