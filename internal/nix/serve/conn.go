// Package serve brings store paths into a store at the other end of an SSH
// connection, in the protocol of `nix-store --serve`, of which it has both
// ends: so it does not matter whether the other one is Nix or berth. Where paths
// come from, and what becomes of them, is the business of others.
package serve

import (
	"bufio"
	"fmt"
	"io"

	"github.com/nix-community/go-nix/pkg/wire"

	"github.com/berth-containers/berth/internal/nix"
)

// What both ends begin with. Version 2.5 is that of Nix 2.0, the first in which
// a path comes with its hash.
const (
	helloClient = 0x390c9deb
	helloServer = 0x5452eecb
	version     = 2<<8 | 5
)

// The commands that are known here, by their numbers.
const (
	commandValid = 1 // which of these paths are there?
	commandInfos = 2 // what is known of them?
	commandAdd   = 9 // here is one
)

// Bounds on what the other end may say, far beyond anything that is of use.
const (
	maxPaths = 100_000
	maxWord  = 64 << 10 // bytes
)

// conn is one end. What is written stays here until flush, which has the error
// of all before.
type conn struct {
	r *bufio.Reader
	w *bufio.Writer
}

func newConn(r io.Reader, w io.Writer) conn {
	return conn{bufio.NewReaderSize(r, 64<<10), bufio.NewWriterSize(w, 256<<10)}
}

func (c conn) number() (uint64, error) { return wire.ReadUint64(c.r) }

func (c conn) word() (string, error) { return wire.ReadString(c.r, maxWord) }

// words reads a list.
func (c conn) words() ([]string, error) {
	n, err := c.number()
	if err != nil {
		return nil, err
	}
	if n > maxPaths {
		return nil, fmt.Errorf("a list of %d words, more than %d", n, maxPaths)
	}
	var out []string
	for range n {
		w, err := c.word()
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// paths reads a list of store paths.
func (c conn) paths() ([]nix.StorePath, error) {
	words, err := c.words()
	if err != nil {
		return nil, err
	}
	var out []nix.StorePath
	for _, w := range words {
		p, err := nix.ParsePath(w)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (c conn) sendNumbers(numbers ...uint64) {
	for _, n := range numbers {
		_ = wire.WriteUint64(c.w, n) // flush has the error
	}
}

func (c conn) sendWords(words ...string) {
	for _, w := range words {
		_ = wire.WriteString(c.w, w)
	}
}

// sendList writes a list.
func sendList[T ~string](c conn, list []T) {
	c.sendNumbers(uint64(len(list)))
	for _, w := range list {
		c.sendWords(string(w))
	}
}

func (c conn) flush() error { return c.w.Flush() }

// hear reads how the other end begins.
func (c conn) hear(hello uint64) error {
	if n, err := c.number(); err != nil {
		return err
	} else if n != hello {
		return fmt.Errorf("the other end does not speak the protocol of nix-store --serve: it begins with %#x", n)
	}
	n, err := c.number()
	if err != nil {
		return err
	}
	if n>>8 != version>>8 || n < version {
		return fmt.Errorf("the other end speaks version %d.%d of the protocol, and not 2.5 or a later 2", n>>8, n&0xff)
	}
	return nil
}

// greet begins.
func (c conn) greet(hello uint64) error {
	c.sendNumbers(hello, version)
	return c.flush()
}
