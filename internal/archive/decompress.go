package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds how far back compressed data may refer, and with it the
// memory of a decompressor: 128 MiB, what zstd --long and xz -9 make at most.
const maxWindow = 128 << 20

// sniffLen is as long as the longest of the magic numbers below.
const sniffLen = 6

// Decompress recognizes r by its first bytes as gzip, zstd or xz, and reads
// anything else as it is. Several compressed members in a row are read as
// one; whatever else follows the compressed data is an error, and so is data
// that would take more than some 128 MiB of memory. Errors of a stream that
// ends too early match io.ErrUnexpectedEOF.
//
// For xz data it runs the program xz, an absolute path, because it is twice
// as fast as the decoder in Go, which serves where xz is "". The result has
// to be closed.
func Decompress(ctx context.Context, r io.Reader, xz string) (io.ReadCloser, error) {
	return decompress(ctx, r, xz, newZstd)
}

// Decompressor is for many streams, several at a time: it keeps memory for the
// next one, and does not use more than one processor for each. The zero value
// is good.
type Decompressor struct {
	XZ string // the program xz, an absolute path; "": the decoder in Go

	zstd sync.Pool // *zstd.Decoder
}

// Open is Decompress.
func (d *Decompressor) Open(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	return decompress(ctx, r, d.XZ, d.newZstd)
}

func decompress(ctx context.Context, r io.Reader, xz string, newZstd func(io.Reader) (io.ReadCloser, error)) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	magic, err := br.Peek(sniffLen)
	if err != nil && err != io.EOF {
		return nil, err
	}
	kind := sniff(magic)
	var out io.ReadCloser
	switch kind {
	case "":
		return io.NopCloser(br), nil
	case "gzip":
		out, err = newGzip(br)
	case "zstd":
		out, err = newZstd(br)
	case "xz":
		out, err = newXZ(ctx, br, xz)
	default:
		return nil, fmt.Errorf("%w: it is %s data, which is not read here", ErrFormat, kind)
	}
	if err != nil {
		return nil, decoderError(kind, err)
	}
	return &decoder{out, kind}, nil
}

// sniff names the compression that data starts with; "" is none.
func sniff(data []byte) string {
	for _, m := range []struct{ magic, kind string }{
		{"\x1f\x8b", "gzip"},
		{"\x28\xb5\x2f\xfd", "zstd"},
		{"\xfd7zXZ\x00", "xz"},
		{"BZh", "bzip2"},
		{"\x04\x22\x4d\x18", "lz4"},
		{"LZIP", "lzip"},
		{"\x5d\x00\x00", "lzma"},
		{"PK\x03\x04", "zip"},
		{"hsqs", "squashfs"},
	} {
		if bytes.HasPrefix(data, []byte(m.magic)) {
			return m.kind
		}
	}
	return ""
}

func newGzip(r io.Reader) (io.ReadCloser, error) {
	d, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(d), nil
}

func newZstd(r io.Reader) (io.ReadCloser, error) {
	d, err := zstdDecoder(r)
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// zstdDecoder is one whose stream cannot make it take much memory.
func zstdDecoder(r io.Reader, more ...zstd.DOption) (*zstd.Decoder, error) {
	return zstd.NewReader(r, append(more, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))...)
}

func (d *Decompressor) newZstd(r io.Reader) (_ io.ReadCloser, err error) {
	z, ok := d.zstd.Get().(*zstd.Decoder)
	if ok {
		err = z.Reset(r)
	} else {
		z, err = zstdDecoder(r, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		return nil, err
	}
	return &pooled{z, &d.zstd}, nil
}

// pooled is a decoder that is used again after Close.
type pooled struct {
	z    *zstd.Decoder // nil: closed
	pool *sync.Pool
}

func (p *pooled) Read(b []byte) (int, error) {
	if p.z == nil {
		return 0, os.ErrClosed
	}
	return p.z.Read(b)
}

// Close implements io.Closer.
func (p *pooled) Close() error {
	z := p.z
	if z == nil {
		return nil
	}
	p.z = nil
	err := z.Reset(nil)
	p.pool.Put(z)
	return err
}

// decoder says of errors which decompressor found them.
type decoder struct {
	io.ReadCloser
	kind string
}

func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = decoderError(d.kind, err)
	}
	return n, err
}

func decoderError(kind string, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("it needs %w: %d MiB of memory", ErrTooBig, maxWindow>>20)
	}
	return fmt.Errorf("%s data: %w", kind, err)
}
