package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/berth-containers/berth/internal/archive"
)

// maxValue is how much of a field is read, in bytes.
const maxValue = 64 << 10

// maxPacked is how much of a compressed field is looked at: an LZ4 block has
// to be unpacked as a whole.
const maxPacked = 1 << 20

// field is one field of an entry; name is empty where nobody wants it.
type field struct{ name, value string }

// How the payload of a data object may be compressed.
const (
	packedXZ   = 1 << 0
	packedLZ4  = 1 << 1
	packedZstd = 1 << 2
)

// maxCached is how many fields of a file are remembered: entries share those
// that do not change, such as the unit's name.
const (
	maxCached      = 4096
	maxCachedValue = 256
)

// data reads the data object at an offset.
func (f *file) data(at uint64) (field, error) {
	if d, ok := f.fields[at]; ok {
		return d, nil
	}
	header := uint64(dataHeader)
	if f.compact {
		header += dataHeaderMore
	}
	flags, size, err := f.object(at, objectData, header)
	if err != nil {
		return field{}, err
	}
	d, err := f.payload(flags, at+header, size-header)
	if err == nil && len(f.fields) < maxCached && len(d.value) <= maxCachedValue {
		f.fields[at] = d
	}
	return d, err
}

// payload reads "NAME=VALUE", or nothing where nobody wants NAME.
func (f *file) payload(flags byte, at, size uint64) (field, error) {
	packed := flags & (packedXZ | packedLZ4 | packedZstd)
	most := uint64(maxValue)
	if packed != 0 {
		most = maxPacked
	} else if ok, err := f.isWanted(at, size); err != nil || !ok {
		return field{}, err
	}
	b := make([]byte, min(size, most))
	if _, err := f.r.ReadAt(b, int64(at)); err != nil {
		return field{}, err
	}
	b, err := unpack(packed, b)
	if err != nil {
		return field{}, err
	}
	name, value, ok := bytes.Cut(b, []byte("="))
	if !ok || !wanted(string(name)) {
		return field{}, nil
	}
	return field{string(name), strings.ToValidUTF8(string(value), "\ufffd")}, nil
}

// isWanted looks whether a payload begins with the name of a field that
// somebody wants.
func (f *file) isWanted(at, size uint64) (bool, error) {
	var b [maxName + 1]byte
	n := min(size, uint64(len(b)))
	if _, err := f.r.ReadAt(b[:n], int64(at)); err != nil {
		return false, err
	}
	name, _, ok := bytes.Cut(b[:n], []byte("="))
	return ok && wanted(string(name)), nil
}

// unpack returns the first maxValue bytes of what was compressed.
func unpack(packed byte, b []byte) ([]byte, error) {
	switch packed {
	case 0:
		return b, nil
	case packedZstd:
		return unpackZstd(b)
	case packedLZ4:
		return unpackLZ4(b)
	case packedXZ:
		r, err := archive.Decompress(context.Background(), bytes.NewReader(b), "")
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return begin(r)
	default:
		return nil, errDamaged
	}
}

// maxWindow bounds the memory for one field.
const maxWindow = 8 << 20

func unpackZstd(b []byte) ([]byte, error) {
	r, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return begin(r)
}

// unpackLZ4 unpacks a block behind its unpacked size.
func unpackLZ4(b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, errDamaged
	}
	size := binary.LittleEndian.Uint64(b)
	if size > maxPacked {
		return nil, errors.New("a field of the journal is too long to be read")
	}
	out := make([]byte, size)
	n, err := lz4.UncompressBlock(b[8:], out)
	if err != nil {
		return nil, err
	}
	return out[:min(n, maxValue)], nil
}

// begin reads the first maxValue bytes, even of what is cut short behind them.
func begin(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxValue))
	if len(b) > 0 {
		return b, nil
	}
	return nil, err
}
