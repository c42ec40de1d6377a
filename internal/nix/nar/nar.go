// Package nar reads Nix archives, which anybody may have written: what it
// reports of one is a tree that a directory can hold, in Nix's one order, and
// nothing else. It makes no files, and checks no hashes.
package nar

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/nix-community/go-nix/pkg/wire"
)

// Bounds on an archive, beyond any that is of use.
const (
	maxDepth   = 256 // directories within one another
	maxEntries = 8 << 20
	maxName    = 255  // bytes, as Linux has it
	maxTarget  = 4095 // bytes of a link's target, likewise
	maxToken   = 16   // bytes of the format's own words
)

// ErrFormat says that an archive is not well-formed.
var ErrFormat = errors.New("not a well-formed Nix archive")

// Tree receives what an archive holds, directories before what is in them. The
// name of the topmost is "", every other one is a single component that a
// directory does not have yet.
type Tree interface {
	// Enter begins a directory, in the one that was entered last.
	Enter(name string) error
	// Leave ends it.
	Leave() error
	// File is a regular file. Its content need not be read to its end.
	File(name string, executable bool, content *Content) error
	// Link is a symbolic link, whose target may be anything.
	Link(name, target string) error
}

// BufferSize is how much of an archive is in memory at a time, in bytes.
const BufferSize = 1 << 20

// Parse reads one archive from r and tells t what is in it. It reads r to its
// end, where nothing may follow. A bufio.Reader of BufferSize is used as it is.
// Errors match ErrFormat unless they are of r or of t.
func Parse(r io.Reader, t Tree) error {
	p := &parser{r: bufio.NewReaderSize(r, BufferSize), t: t}
	if err := p.expect("nix-archive-1"); err != nil {
		return err
	}
	if err := p.node("", 0); err != nil {
		return err
	}
	if _, err := p.r.ReadByte(); err != io.EOF {
		if err == nil {
			err = malformed("something follows its end")
		}
		return err
	}
	return nil
}

type parser struct {
	r       *bufio.Reader
	t       Tree
	entries int
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// node reads a file, a link or a directory with all that is in it.
func (p *parser) node(name string, depth int) error {
	if p.entries++; p.entries > maxEntries {
		return malformed("it has more than %d entries", maxEntries)
	}
	if err := p.expect("(", "type"); err != nil {
		return err
	}
	kind, err := p.token(maxToken)
	if err != nil {
		return err
	}
	switch kind {
	case "regular":
		err = p.regular(name)
	case "symlink":
		err = p.symlink(name)
	case "directory":
		return p.directory(name, depth) // it has met the end
	default:
		return malformed("an entry is of the kind %q", kind)
	}
	if err != nil {
		return err
	}
	return p.expect(")")
}

func (p *parser) regular(name string) error {
	word, err := p.token(maxToken)
	if err != nil {
		return err
	}
	executable := word == "executable"
	if executable {
		if err := p.expect(""); err != nil {
			return err
		}
		if word, err = p.token(maxToken); err != nil {
			return err
		}
	}
	if word != "contents" {
		return malformed("%q stands where a file's content begins", word)
	}
	size, err := p.number()
	if err != nil {
		return err
	}
	if size > math.MaxInt64 {
		return malformed("a file has %d bytes", size)
	}
	content := &Content{r: p.r, left: int64(size)}
	if err := p.t.File(name, executable, content); err != nil {
		return err
	}
	for content.left > 0 {
		if _, err := content.Next(); err != nil {
			return err
		}
	}
	return p.padding(size)
}

func (p *parser) symlink(name string) error {
	if err := p.expect("target"); err != nil {
		return err
	}
	target, err := p.token(maxTarget)
	if err != nil {
		return err
	}
	if target == "" || strings.ContainsRune(target, 0) {
		return malformed("the target of a link is %q", target)
	}
	return p.t.Link(name, target)
}

func (p *parser) directory(name string, depth int) error {
	if depth == maxDepth {
		return malformed("it is more than %d directories deep", maxDepth)
	}
	if err := p.t.Enter(name); err != nil {
		return err
	}
	last := ""
	for {
		word, err := p.token(maxToken)
		if err != nil {
			return err
		}
		if word == ")" {
			return p.t.Leave()
		}
		if word != "entry" {
			return malformed("%q stands where an entry begins", word)
		}
		if last, err = p.entry(last, depth); err != nil {
			return err
		}
	}
}

// entry reads an entry of a directory, whose name has to come after last.
func (p *parser) entry(last string, depth int) (string, error) {
	if err := p.expect("(", "name"); err != nil {
		return "", err
	}
	name, err := p.token(maxName)
	if err != nil {
		return "", err
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", malformed("an entry is named %q", name)
	}
	if name <= last {
		return "", malformed("the entry %q comes after %q: each name may be there once, in order", name, last)
	}
	if err := p.expect("node"); err != nil {
		return "", err
	}
	if err := p.node(name, depth+1); err != nil {
		return "", err
	}
	return name, p.expect(")")
}

// expect reads words that have to be there.
func (p *parser) expect(words ...string) error {
	for _, w := range words {
		got, err := p.token(maxToken)
		if err != nil {
			return err
		}
		if got != w {
			return malformed("%q stands in the place of %q", got, w)
		}
	}
	return nil
}

// token reads a word of at most most bytes.
func (p *parser) token(most uint64) (string, error) {
	n, err := p.number()
	if err != nil {
		return "", err
	}
	if n > most {
		return "", malformed("a word has %d bytes, more than %d", n, most)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p.r, b); err != nil {
		return "", cut(err)
	}
	return string(b), p.padding(n)
}

func (p *parser) number() (uint64, error) {
	n, err := wire.ReadUint64(p.r)
	return n, cut(err)
}

// padding reads the zeros behind n bytes.
func (p *parser) padding(n uint64) error {
	for range (8 - n%8) % 8 {
		b, err := p.r.ReadByte()
		if err != nil {
			return cut(err)
		}
		if b != 0 {
			return malformed("the padding is not zero")
		}
	}
	return nil
}

// cut says of an end of the stream that it is too early.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	return err
}

// Content is that of one file.
type Content struct {
	r    *bufio.Reader
	left int64
}

// Left is how many bytes are still to come.
func (c *Content) Left() int64 { return c.left }

// Next gives what comes next: all that is left, or BufferSize bytes where that
// is more. They lie in the buffer, only until the next call. After the last
// ones come none.
func (c *Content) Next() ([]byte, error) {
	b, err := c.r.Peek(int(min(c.left, BufferSize)))
	if err != nil {
		return nil, cut(err)
	}
	c.left -= int64(len(b))
	_, err = c.r.Discard(len(b))
	return b, err
}
