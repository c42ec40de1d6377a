package journal

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// made is an entry that a test writes.
type made struct {
	realtime, monotonic uint64
	boot                byte
	fields              []string // NAME=VALUE
}

// build writes a journal file with entries, as journald does but for the
// indexes that are not read here. Its lists hold at most perArray entries.
func build(t testing.TB, id byte, compact bool, packed byte, perArray int, entries ...made) []byte {
	t.Helper()
	b := make([]byte, 272)
	copy(b, "LPKSHHRH")
	flags := uint32(packed&1) | uint32(packed&2) | uint32(packed&4)<<1
	if compact {
		flags |= compactForm
	}
	binary.LittleEndian.PutUint32(b[12:], flags)
	b[24] = id
	binary.LittleEndian.PutUint64(b[88:], uint64(len(b)))
	binary.LittleEndian.PutUint64(b[152:], uint64(len(entries)))
	link := 176 // where the next list is to be named
	var offsets []uint64
	for _, e := range entries {
		var items []uint64
		for _, f := range e.fields {
			items = append(items, uint64(len(b)))
			b = append(b, dataObject(t, compact, packed, f)...)
		}
		offsets = append(offsets, uint64(len(b)))
		b = append(b, entryObject(compact, e, items)...)
		if len(offsets) == perArray {
			b, link = addArray(b, link, compact, offsets)
			offsets = nil
		}
	}
	b, _ = addArray(b, link, compact, append(offsets, 0, 0)) // with room for more
	return b
}

func object(kind, flags byte, body []byte) []byte {
	b := make([]byte, 16, 16+len(body)+8)
	b[0], b[1] = kind, flags
	binary.LittleEndian.PutUint64(b[8:], uint64(16+len(body)))
	b = append(b, body...)
	return append(b, make([]byte, (8-len(b)%8)%8)...)
}

func dataObject(t testing.TB, compact bool, packed byte, field string) []byte {
	body := make([]byte, 48, 64)
	if compact {
		body = append(body, make([]byte, 8)...)
	}
	if len(field) < 40 {
		return object(objectData, 0, append(body, field...))
	}
	return object(objectData, packed, append(body, pack(t, packed, field)...))
}

func pack(t testing.TB, packed byte, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	switch packed {
	case packedZstd:
		w, err := zstd.NewWriter(nil)
		must(t, err)
		return w.EncodeAll([]byte(text), nil)
	case packedXZ:
		w, err := xz.WriterConfig{NoCheckSum: true}.NewWriter(&out)
		must(t, err)
		_, err = w.Write([]byte(text))
		must(t, err)
		must(t, w.Close())
	case packedLZ4:
		b := make([]byte, 8+lz4.CompressBlockBound(len(text)))
		binary.LittleEndian.PutUint64(b, uint64(len(text)))
		var c lz4.Compressor
		n, err := c.CompressBlock([]byte(text), b[8:])
		must(t, err)
		return b[:8+n]
	default:
		return []byte(text)
	}
	return out.Bytes()
}

func entryObject(compact bool, e made, items []uint64) []byte {
	body := make([]byte, 48)
	binary.LittleEndian.PutUint64(body[8:], e.realtime)
	binary.LittleEndian.PutUint64(body[16:], e.monotonic)
	body[24] = e.boot
	binary.LittleEndian.PutUint64(body[40:], e.realtime^e.monotonic)
	for _, at := range items {
		if compact {
			body = binary.LittleEndian.AppendUint32(body, uint32(at))
		} else {
			body = binary.LittleEndian.AppendUint64(body, at)
			body = binary.LittleEndian.AppendUint64(body, 0)
		}
	}
	return object(objectEntry, 0, body)
}

// addArray adds a list, and names it at the offset link.
func addArray(b []byte, link int, compact bool, offsets []uint64) ([]byte, int) {
	binary.LittleEndian.PutUint64(b[link:], uint64(len(b)))
	link = len(b) + 16
	body := make([]byte, 8)
	for _, at := range offsets {
		if compact {
			body = binary.LittleEndian.AppendUint32(body, uint32(at))
		} else {
			body = binary.LittleEndian.AppendUint64(body, at)
		}
	}
	return append(b, object(objectEntryArray, 0, body)...), link
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
