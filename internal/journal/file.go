package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"
)

// ID is one of the 128-bit numbers that name files, boots and machines.
type ID [16]byte

// file is one journal file. What it holds may grow at any time.
type file struct {
	r       io.ReaderAt
	id      ID
	compact bool
	count   uint64  // entries, as the file says
	arrays  []array // the lists of them, as far as count
	fields  map[uint64]field
}

// array is one of a chain of lists of entries.
type array struct {
	at    uint64 // offset of its first item
	first uint64 // number of the entry that its first item is
	count uint64
}

// The types of objects that matter here.
const (
	objectData       = 1
	objectEntry      = 3
	objectEntryArray = 6
)

// Sizes and places of what is read of a file, in bytes.
const (
	headerSize     = 208 // of its first version
	objectHeader   = 16
	arrayHeader    = 24
	entryHeader    = 64
	dataHeader     = 64
	dataHeaderMore = 8 // in compact files
)

// incompatible are the features that are known here: the three compressions,
// keyed hashes, and the compact form.
const (
	incompatible = 1<<5 - 1
	compactForm  = 1 << 4
)

var errDamaged = errors.New("the journal file is damaged")

// openFile looks at the header of a journal file.
func openFile(r io.ReaderAt) (*file, error) {
	var b [headerSize]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return nil, err
	}
	if string(b[:8]) != "LPKSHHRH" {
		return nil, errors.New("it is not a journal file")
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	if unknown := flags &^ incompatible; unknown != 0 {
		return nil, fmt.Errorf("the journal file is of a kind that this berth does not know (flags %#x)", unknown)
	}
	f := &file{r: r, id: ID(b[24:40]), compact: flags&compactForm != 0, fields: map[uint64]field{}}
	f.count = binary.LittleEndian.Uint64(b[152:])
	err := f.chain(binary.LittleEndian.Uint64(b[176:]))
	if len(f.arrays) > 0 {
		err = nil // what is before the damage can be read
	}
	return f, err
}

// object reads the header of the object at an offset, and returns its flags
// and the size of all of it.
func (f *file) object(at uint64, kind byte, least uint64) (flags byte, size uint64, err error) {
	if at < headerSize || at%8 != 0 || at > 1<<62 {
		return 0, 0, errDamaged
	}
	var b [objectHeader]byte
	if _, err := f.r.ReadAt(b[:], int64(at)); err != nil {
		return 0, 0, err
	}
	size = binary.LittleEndian.Uint64(b[8:])
	if b[0] != kind || size < least || size > 1<<62 {
		return 0, 0, errDamaged
	}
	return b[1], size, nil
}

// item is the size of an offset in a list of entries.
func (f *file) item() uint64 {
	if f.compact {
		return 4
	}
	return 8
}

// chain finds the lists of entries. Each is behind the one before, as they are
// made one after the other, so that there is an end.
func (f *file) chain(at uint64) error {
	var found, last uint64
	defer func() { f.count = found }()
	for at != 0 && found < f.count {
		if at <= last {
			return errDamaged
		}
		_, size, err := f.object(at, objectEntryArray, arrayHeader)
		if err != nil {
			return err
		}
		n := min((size-arrayHeader)/f.item(), f.count-found)
		f.arrays = append(f.arrays, array{at: at + arrayHeader, first: found, count: n})
		found += n
		var next [8]byte
		if _, err := f.r.ReadAt(next[:], int64(at+objectHeader)); err != nil {
			return err
		}
		last, at = at, binary.LittleEndian.Uint64(next[:])
	}
	return nil
}

// offset is where the entry number i is.
func (f *file) offset(i uint64) (uint64, error) {
	n := sort.Search(len(f.arrays), func(n int) bool { return f.arrays[n].first+f.arrays[n].count > i })
	if n == len(f.arrays) {
		return 0, io.EOF
	}
	var b [8]byte
	at := f.arrays[n].at + (i-f.arrays[n].first)*f.item()
	if _, err := f.r.ReadAt(b[:f.item()], int64(at)); err != nil {
		return 0, err
	}
	if at := binary.LittleEndian.Uint64(b[:]); at != 0 {
		return at, nil
	}
	return 0, io.EOF // reserved, but not used yet
}

// stamp tells an entry from all others. journald copies entries from one file
// to another when it moves from memory to disk; they keep this.
type stamp struct {
	realtime, monotonic uint64 // microseconds
	boot                ID
	hash                uint64
}

func (s stamp) time() time.Time { return time.UnixMicro(int64(min(s.realtime, 1<<60))) }

// stamp reads when the entry number i was made.
func (f *file) stamp(i uint64) (stamp, error) {
	at, err := f.offset(i)
	if err != nil {
		return stamp{}, err
	}
	_, _, s, err := f.entryHeader(at)
	return s, err
}

func (f *file) entryHeader(at uint64) (from, size uint64, s stamp, err error) {
	_, size, err = f.object(at, objectEntry, entryHeader)
	if err != nil {
		return 0, 0, s, err
	}
	var b [entryHeader]byte
	if _, err := f.r.ReadAt(b[:], int64(at)); err != nil {
		return 0, 0, s, err
	}
	s = stamp{
		realtime: binary.LittleEndian.Uint64(b[24:]), monotonic: binary.LittleEndian.Uint64(b[32:]),
		boot: ID(b[40:56]), hash: binary.LittleEndian.Uint64(b[56:]),
	}
	return at + entryHeader, size - entryHeader, s, nil
}

// search is the number of the first entry that was not made before t, or that
// cannot be read.
func (f *file) search(t time.Time) uint64 {
	lo, hi := uint64(0), f.count
	for lo < hi {
		mid := lo + (hi-lo)/2
		if s, err := f.stamp(mid); err == nil && s.time().Before(t) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// maxFields is how many fields of an entry are looked at; journald allows as
// many.
const maxFields = 1024

// entry reads the entry number i.
func (f *file) entry(i uint64) (Entry, error) {
	at, err := f.offset(i)
	if err != nil {
		return Entry{}, err
	}
	from, size, s, err := f.entryHeader(at)
	if err != nil {
		return Entry{}, err
	}
	step := uint64(16) // an offset and a hash
	if f.compact {
		step = 4
	}
	b := make([]byte, min(size/step, maxFields)*step)
	if _, err := f.r.ReadAt(b, int64(from)); err != nil {
		return Entry{}, err
	}
	var fields []field
	for ; len(b) > 0; b = b[step:] {
		var at uint64
		if f.compact {
			at = uint64(binary.LittleEndian.Uint32(b))
		} else {
			at = binary.LittleEndian.Uint64(b)
		}
		if d, err := f.data(at); err == nil { // one that is damaged does not take the others along
			fields = append(fields, d)
		}
	}
	return newEntry(s, fields), nil
}
