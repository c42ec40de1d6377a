package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"testing"
	"time"
)

// FuzzExtract unpacks anything, and watches what lies beside the directory.
func FuzzExtract(f *testing.F) {
	for _, seed := range [][]entry{
		{dir("d"), file("d/f", "content"), hardlink("d/h", "d/f"), symlink("l", "d")},
		{symlink("l", "../canary"), file("l/file", "x")},
		{symlink("l", "../canary/file"), hardlink("h", "l"), file("h", "x")},
		{dir("a"), symlink("a/l", ".."), file("a/l/a", "x"), file("a/b", "")},
		{file("../canary/file", "x")},
		{hardlink("h", "../canary/file"), file("h", "x")},
		{withXattrs(file("x", ""), map[string]string{"user.a": "b", "trusted.overlay.opaque": "y"})},
		{link(tar.TypeFifo, "p", ""), dir("p"), file("p/q", "")},
	} {
		f.Add(stream(f, seed...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newSandbox(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := Extract(ctx, bytes.NewReader(data), s.root, Options{MaxBytes: 64 << 20, MaxEntries: 1000})
		s.check(t)
		if ctx.Err() != nil {
			t.Fatal("it takes more than ten seconds")
		}
		if err != nil {
			return
		}
		var out bytes.Buffer // what could be unpacked can be packed
		if _, err := Write(t.Context(), &out, s.root, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecompress reads anything as compressed data.
func FuzzDecompress(f *testing.F) {
	for _, compress := range compressors() {
		f.Add(compress(f, "some content"))
	}
	f.Add([]byte("plain"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decompress(t.Context(), bytes.NewReader(data), "")
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, io.LimitReader(r, 64<<20))
		if err == nil && n < 64<<20 && sniff(data) == "" && n != int64(len(data)) {
			t.Errorf("%d plain bytes became %d", len(data), n)
		}
		r.Close()
	})
}
