package nar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	upstream "github.com/nix-community/go-nix/pkg/nar"
	"github.com/nix-community/go-nix/pkg/wire"
)

// words writes the words of an archive, its beginning among them.
func words(list ...string) []byte {
	var b bytes.Buffer
	for _, w := range append([]string{"nix-archive-1"}, list...) {
		_ = wire.WriteString(&b, w)
	}
	return b.Bytes()
}

// dir is a directory with entries, each a name and a node.
func dir(entries ...[]string) []string {
	out := []string{"(", "type", "directory"}
	for _, e := range entries {
		out = append(out, "entry", "(", "name", e[0], "node")
		out = append(append(out, e[1:]...), ")")
	}
	return append(out, ")")
}

func file(name string) []string {
	return []string{name, "(", "type", "regular", "contents", "x", ")"}
}

func link(name, target string) []string {
	return []string{name, "(", "type", "symlink", "target", target, ")"}
}

// listing writes down what it is told, and makes the archive again.
type listing struct {
	text strings.Builder
	w    *upstream.Writer
	path []string
}

func (l *listing) at(name string) string {
	return "/" + strings.TrimPrefix(strings.Join(append(l.path[:len(l.path):len(l.path)], name), "/"), "/")
}

func (l *listing) Enter(name string) error {
	fmt.Fprintf(&l.text, "enter %q\n", name)
	err := l.w.WriteHeader(&upstream.Header{Path: l.at(name), Type: upstream.TypeDirectory})
	l.path = append(l.path, name)
	return err
}

func (l *listing) Leave() error {
	fmt.Fprintln(&l.text, "leave")
	l.path = l.path[:len(l.path)-1]
	return nil
}

func (l *listing) File(name string, executable bool, content *Content) error {
	size := content.Left()
	if err := l.w.WriteHeader(&upstream.Header{Path: l.at(name), Type: upstream.TypeRegular, Executable: executable, Size: size}); err != nil {
		return err
	}
	var b []byte
	for content.Left() > 0 {
		part, err := content.Next()
		if err != nil {
			return err
		}
		b = append(b, part...)
	}
	fmt.Fprintf(&l.text, "file %q %v %q\n", name, executable, b)
	if len(b) != int(size) {
		return fmt.Errorf("%d bytes, not %d", len(b), size)
	}
	_, err := l.w.Write(b)
	return err
}

func (l *listing) Link(name, target string) error {
	fmt.Fprintf(&l.text, "link %q %q\n", name, target)
	return l.w.WriteHeader(&upstream.Header{Path: l.at(name), Type: upstream.TypeSymlink, LinkTarget: target})
}

// read lists an archive, and writes it again.
func read(r io.Reader) (text string, again []byte, err error) {
	var out bytes.Buffer
	w, err := upstream.NewWriter(&out)
	if err != nil {
		return "", nil, err
	}
	l := &listing{w: w}
	if err := Parse(r, l); err != nil {
		return l.text.String(), nil, err
	}
	err = w.Close()
	return l.text.String(), out.Bytes(), err
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   []string
		want string
	}{
		{file("")[1:], "file \"\" false \"x\"\n"},
		{link("", "../../etc")[1:], "link \"\" \"../../etc\"\n"},
		{dir(), "enter \"\"\nleave\n"},
		{dir(file("A"), append([]string{"a"}, dir(link("x", "/"))...), file("a.b"), []string{"z", "(", "type", "regular", "executable", "", "contents", "12345678", ")"}),
			"enter \"\"\nfile \"A\" false \"x\"\nenter \"a\"\nlink \"x\" \"/\"\nleave\nfile \"a.b\" false \"x\"\nfile \"z\" true \"12345678\"\nleave\n"},
	} {
		got, again, err := read(bytes.NewReader(words(c.in...)))
		if err != nil || got != c.want || !bytes.Equal(again, words(c.in...)) {
			t.Errorf("%q: %v\n%s", c.in, err, got)
		}
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	whole := words(dir(file("a"), file("b"))...)
	deep := dir(file("x"))
	for range maxDepth {
		deep = dir(append([]string{"d"}, deep...))
	}
	huge := words("(", "type", "regular", "contents")
	var length bytes.Buffer
	_ = wire.WriteUint64(&length, 1<<63)
	padded := bytes.Clone(words(dir(file("a"))...))
	padded[bytes.LastIndexByte(padded, 'x')+3] = 1
	for name, in := range map[string][]byte{
		"nothing":              {},
		"not an archive":       []byte(strings.Repeat("x", 100)),
		"a later version":      append(words()[:20:20], "2\x00\x00\x00"...),
		"no node":              words(),
		"the name .":           words(dir(file("."))...),
		"the name ..":          words(dir(file(".."))...),
		"an empty name":        words(dir(file(""))...),
		"a slash":              words(dir(file("a/b"))...),
		"an absolute name":     words(dir(file("/etc/passwd"))...),
		"a way out":            words(dir(file("../x"))...),
		"a NUL":                words(dir(file("a\x00b"))...),
		"a long name":          words(dir(file(strings.Repeat("n", maxName+1)))...),
		"twice the same":       words(dir(file("a"), file("a"))...),
		"a link, then through": words(dir(link("a", "/etc"), append([]string{"a"}, dir(file("passwd"))...))...),
		"in disorder":          words(dir(file("b"), file("a"))...),
		"an empty target":      words(link("", "")[1:]...),
		"a NUL in a target":    words(link("", "a\x00b")[1:]...),
		"a long target":        words(link("", strings.Repeat("t", maxTarget+1))[1:]...),
		"a device":             words("(", "type", "device", ")"),
		"no end":               words("(", "type", "directory", "entry", "(", "name", "a", "node", "(", "type", "directory", ")", ")"),
		"an entry too many":    words("(", "type", "directory", "file", ")"),
		"executable with more": words("(", "type", "regular", "executable", "x", "contents", "", ")"),
		"something behind":     append(bytes.Clone(whole), 0),
		"two archives":         append(bytes.Clone(whole), whole...),
		"a padding":            padded,
		"more than there is":   append(bytes.Clone(huge), length.Bytes()...),
		"too deep":             words(deep...),
	} {
		if got, _, err := read(bytes.NewReader(in)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	for n := range whole {
		if _, _, err := read(bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	broken := errors.New("broken")
	if _, _, err := read(io.MultiReader(bytes.NewReader(whole), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("an error at the end: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Nothing but what Nix itself would write is read.
func FuzzParse(f *testing.F) {
	f.Add(words(dir(file("a"), append([]string{"b"}, dir(link("x", "/"))...))...))
	f.Add(words(file("")[1:]...))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, again, err := read(bytes.NewReader(in)); err == nil && !bytes.Equal(again, in) {
			t.Errorf("%q was read, but it is %q", in, again)
		}
	})
}
