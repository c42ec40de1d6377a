package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

var text = strings.Repeat("what goes in must come out\n", 10_000)

// compressors are the forms that are read.
func compressors() map[string]func(testing.TB, string) []byte {
	return map[string]func(testing.TB, string) []byte{
		"gzip": func(t testing.TB, s string) []byte {
			var b bytes.Buffer
			return through(t, &b, gzip.NewWriter(&b), s)
		},
		"zstd": func(t testing.TB, s string) []byte {
			var b bytes.Buffer
			w, err := zstd.NewWriter(&b)
			must(t, err)
			return through(t, &b, w, s)
		},
		"xz": func(t testing.TB, s string) []byte {
			var b bytes.Buffer
			w, err := xz.NewWriter(&b)
			must(t, err)
			return through(t, &b, w, s)
		},
	}
}

func through(t testing.TB, b *bytes.Buffer, w io.WriteCloser, s string) []byte {
	t.Helper()
	_, err := w.Write([]byte(s))
	must(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

// xzProgram is where xz(1) is; the tests of both decoders need it.
func xzProgram(t testing.TB) string {
	t.Helper()
	p, err := exec.LookPath("xz")
	if err != nil {
		t.Fatalf("xz is needed to test the pipe through it: install xz-utils: %v", err)
	}
	return p
}

func decompressed(t testing.TB, data []byte, xz string) (string, error) {
	t.Helper()
	return readAll(t, data, func(r io.Reader) (io.ReadCloser, error) { return Decompress(t.Context(), r, xz) })
}

func readAll(t testing.TB, data []byte, open func(io.Reader) (io.ReadCloser, error)) (string, error) {
	t.Helper()
	r, err := open(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	must(t, errors.Join(r.Close(), r.Close()))
	return string(b), err
}

// A Decompressor is not the worse for what it has read before.
func TestDecompressor(t *testing.T) {
	t.Parallel()
	d := &Decompressor{}
	open := func(r io.Reader) (io.ReadCloser, error) { return d.Open(t.Context(), r) }
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for kind, compress := range compressors() {
				data := compress(t, text)
				for _, bad := range [][]byte{data[:len(data)/2], damaged(data)} {
					if _, err := readAll(t, bad, open); err == nil {
						t.Errorf("%s: damaged data has no error", kind)
					}
					if got, err := readAll(t, data, open); err != nil || got != text {
						t.Errorf("%s: %d bytes, %v", kind, len(got), err)
					}
				}
			}
		})
	}
	group.Wait()
}

func TestDecompress(t *testing.T) {
	t.Parallel()
	for kind, compress := range compressors() {
		data := compress(t, text)
		for name, tc := range map[string]struct {
			data []byte
			want string
			err  error
		}{
			"whole":   {data, text, nil},
			"twice":   {append(data[:len(data):len(data)], data...), text + text, nil},
			"cut":     {data[:len(data)/2], "", io.ErrUnexpectedEOF},
			"cut end": {data[:len(data)-3], "", io.ErrUnexpectedEOF},
			"cut 8":   {data[:8], "", io.ErrUnexpectedEOF},
			"garbage": {append(data[:len(data):len(data)], "garbage that is long enough"...), "", errAny},
			"damaged": {damaged(data), "", errAny},
		} {
			for _, program := range []string{"", xzProgram(t)} {
				got, err := decompressed(t, tc.data, program)
				switch {
				case tc.err == nil && (err != nil || got != tc.want):
					t.Errorf("%s %s %q: %d bytes, %v", kind, name, program, len(got), err)
				case tc.err == errAny && err == nil, tc.err == io.ErrUnexpectedEOF && !errors.Is(err, tc.err):
					t.Errorf("%s %s %q: error is %v", kind, name, program, err)
				case tc.err != nil && !strings.HasPrefix(err.Error(), kind+" data: "):
					t.Errorf("%s %s %q: error is %v", kind, name, program, err)
				}
			}
		}
	}
}

var errAny = errors.New("any error")

func damaged(data []byte) []byte {
	d := bytes.Clone(data)
	d[len(d)/2] ^= 0x55
	return d
}

// No stream is whole that lacks something, wherever it was cut, and whatever
// took its place.
func TestDecompressCut(t *testing.T) {
	t.Parallel()
	for kind, compress := range compressors() {
		data := compress(t, strings.Repeat("some content ", 20))
		for n := sniffLen; n < len(data); n++ {
			for _, more := range []string{"", "garbage"} {
				r, err := Decompress(t.Context(), strings.NewReader(string(data[:n])+more), "")
				if err == nil {
					_, err = io.Copy(io.Discard, r)
					r.Close()
				}
				if err == nil {
					t.Errorf("%s: %d of %d bytes and %q are taken for whole", kind, n, len(data), more)
				}
			}
		}
	}
}

func TestDecompressPlain(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "x", text} {
		if got, err := decompressed(t, []byte(s), ""); err != nil || got != s {
			t.Errorf("%d bytes became %d: %v", len(s), len(got), err)
		}
	}
	_, err := decompressed(t, []byte("BZh91AY&SY"), "")
	if !errors.Is(err, ErrFormat) || err.Error() != "not a tar archive: it is bzip2 data, which is not read here" {
		t.Errorf("bzip2: %v", err)
	}
}

// What would take much memory is refused before it takes any.
func TestDecompressBounded(t *testing.T) {
	t.Parallel()
	zst, err := exec.LookPath("zstd")
	if err != nil {
		t.Fatalf("zstd is needed to make a test file: install zstd: %v", err)
	}
	huge := run(t, text, zst, "--ultra", "--long=30", "--no-content-size", "-c")
	big := run(t, text, xzProgram(t), "-c", "--lzma2=dict=256MiB")
	for name, tc := range map[string]struct {
		data    []byte
		program string
		want    string
	}{
		"zstd":       {huge, "", "zstd data: it needs more than is allowed: 128 MiB of memory"},
		"xz":         {big, "", "xz data: it needs more than is allowed: 128 MiB of memory"},
		"xz program": {big, xzProgram(t), "xz data: Memory usage limit reached"},
	} {
		if _, err := decompressed(t, tc.data, tc.program); err == nil || err.Error() != tc.want {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, tc.want)
		}
	}
}

// The guard of the decoder in Go must let through what xz(1) makes.
func TestXZGuardPasses(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 300_000)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	mixed := text + string(noise) + text
	for _, args := range [][]string{
		{"-9"}, {"-0"}, {"-C", "none"}, {"-C", "crc32"}, {"-C", "sha256"}, {"--block-size=10000"}, {"-T2", "--block-size=65536"},
	} {
		data := run(t, mixed, xzProgram(t), append(args, "-c")...)
		data = append(append(data, 0, 0, 0, 0), data...)
		got, err := decompressed(t, data, "")
		if err != nil || got != mixed+mixed {
			t.Errorf("%q: %d bytes: %v", args, len(got), err)
		}
	}
}

func run(t testing.TB, stdin, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	must(t, err)
	return out
}

func TestDecompressCancelled(t *testing.T) {
	t.Parallel()
	data := compressors()["xz"](t, text)
	ctx, cancel := context.WithCancel(t.Context())
	blocked, _ := io.Pipe()
	r, err := Decompress(ctx, io.MultiReader(bytes.NewReader(data[:100]), blocked), xzProgram(t))
	must(t, err)
	cancel()
	if _, err := io.ReadAll(r); err == nil {
		t.Error("no error after the context ended")
	}
	must(t, r.Close())
	blocked.Close()
}
