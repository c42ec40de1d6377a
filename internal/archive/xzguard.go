package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// xzGuard passes an .xz file on and refuses one whose blocks want a
// dictionary greater than maxWindow, before the decoder in Go makes it: that
// knows no limit. It understands the structure of the file only, as in
// "The .xz File Format" 1.2.0; damage is left for the decoder to find.
type xzGuard struct {
	r     *bufio.Reader
	pass  int64        // bytes that may go on unseen
	next  func() error // looks at what comes then, and sets pass and next
	check int64        // size of a block's checksum
	size  int64        // of the block's compressed data, or of the index, so far
	left  uint64       // numbers still to come in the index
	open  bool         // a stream has begun, and not ended
}

func newXZGuard(r io.Reader) *xzGuard {
	g := &xzGuard{r: bufio.NewReaderSize(r, 64<<10)}
	g.next = g.stream
	return g
}

func (g *xzGuard) Read(p []byte) (int, error) {
	for g.pass == 0 {
		if err := g.next(); err == io.EOF && g.r.Buffered() > 0 {
			g.then(int64(g.r.Buffered()), g.stream) // cut short: the decoder says so, or then we do
		} else if err == io.EOF && g.open {
			return 0, io.ErrUnexpectedEOF // where a block or the index should begin, the decoder takes it for the end
		} else if err != nil {
			return 0, err
		}
	}
	n, err := g.r.Read(p[:min(int64(len(p)), g.pass)])
	g.pass -= int64(n)
	return n, err
}

// then lets size bytes through, and looks at the rest with next.
func (g *xzGuard) then(size int64, next func() error) {
	g.pass, g.next = size, next
}

func (g *xzGuard) stream() error {
	b, err := g.r.Peek(12)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(b) == 0 { // padding between streams
		g.then(4, g.stream)
		return nil
	}
	sizes := [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	g.check, g.open = sizes[b[7]&0xf], true
	g.then(12, g.block)
	return nil
}

func (g *xzGuard) block() error {
	b, err := g.r.Peek(1)
	if err != nil {
		return err
	}
	if b[0] == 0 {
		g.size, g.left = 1, 0
		g.then(1, g.indexCount)
		return nil
	}
	size := (int(b[0]) + 1) * 4
	if b, err = g.r.Peek(size); err != nil {
		return err
	}
	if err := checkBlockHeader(b); err != nil {
		return err
	}
	g.size = 0
	g.then(int64(size), g.chunk)
	return nil
}

// checkBlockHeader looks for the size of the dictionary.
func checkBlockHeader(b []byte) error {
	if b[1]&0x03 != 0 {
		return errors.New("it uses filters that only the xz program knows")
	}
	rest := b[2:]
	for _, flag := range []byte{0x40, 0x80} { // compressed and uncompressed size
		if b[1]&flag != 0 {
			rest = rest[max(0, vliLen(rest)):]
		}
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 {
		return errors.New("it uses filters that only the xz program knows")
	}
	bits := uint64(rest[2])
	if bits > 40 || (2|bits&1)<<(bits/2+11) > maxWindow {
		return fmt.Errorf("it needs %w: %d MiB of memory", ErrTooBig, maxWindow>>20)
	}
	return nil
}

// chunk looks at one LZMA2 chunk.
func (g *xzGuard) chunk() error {
	b, err := g.r.Peek(1)
	if err != nil {
		return err
	}
	control, header := b[0], 3
	switch {
	case control == 0:
		pad := (4 - (g.size+1)%4) % 4
		g.then(1+pad+g.check, g.block)
		return nil
	case control >= 0xc0:
		header = 6
	case control >= 0x80:
		header = 5
	}
	if b, err = g.r.Peek(header); err != nil {
		return err
	}
	size := int64(header) + 1 + int64(binary.BigEndian.Uint16(b[1:]))
	if control >= 0x80 {
		size = int64(header) + 1 + int64(binary.BigEndian.Uint16(b[3:]))
	}
	g.size += size
	g.then(size, g.chunk)
	return nil
}

// indexCount looks at the number of records, which are two numbers each.
func (g *xzGuard) indexCount() error {
	b, err := g.number()
	if err != nil {
		return err
	}
	var n uint64
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<7 | uint64(b[i]&0x7f)
	}
	g.left = n * 2
	return nil
}

func (g *xzGuard) index() error {
	if g.left > 0 {
		g.left--
		_, err := g.number()
		return err
	}
	pad := (4 - g.size%4) % 4
	g.open = false
	g.then(pad+4+12, g.stream) // with the index's checksum and the footer
	return nil
}

// number lets one number of the index through.
func (g *xzGuard) number() ([]byte, error) {
	b, err := g.r.Peek(9)
	if err != nil {
		return nil, err
	}
	n := vliLen(b)
	if n < 0 {
		return nil, errors.New("index is damaged")
	}
	g.size += int64(n)
	g.then(int64(n), g.index)
	return b[:n], nil
}

// vliLen is the length of the number that b starts with; -1 if it has no end.
func vliLen(b []byte) int {
	for i, c := range b[:min(9, len(b))] {
		if c&0x80 == 0 {
			return i + 1
		}
	}
	return -1
}
