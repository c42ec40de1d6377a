package store

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
)

// links is the directory where content is found by its key. A key is a guess:
// what is there under it is compared before it is shared.
type links struct{ dir *os.File }

func (s *Store) openLinks() (links, error) {
	d, err := os.Open(s.links())
	return links{d}, err
}

func (l links) close() error { return l.dir.Close() }

// contentKey names content by its size, its hash, and an x where the file is
// executable, which hard links share.
func contentKey(size int64, hash uint64, mode uint32) string {
	key := strconv.AppendInt(nil, size, 10)
	key = strconv.AppendUint(append(key, '-'), hash, 16)
	if mode == modeExecutable {
		key = append(key, 'x')
	}
	return string(key)
}

// adopt makes a file a link to content of its size that is there, and says
// whether it could: a file can have only so many links, and some file systems
// have none. Power that failed may have left other content than want.
func (l links) adopt(key string, f entry, size int64, want io.Reader) bool {
	if unix.Linkat(int(l.dir.Fd()), key, f.dir, f.name, 0) != nil {
		return false
	}
	fd, err := openat(f.dir, f.name, unix.O_RDONLY, 0)
	if err == nil {
		there := os.NewFile(uintptr(fd), f.name)
		same := f.like(there, size) && equal(there, want, size)
		if there.Close() == nil && same {
			return true
		}
	}
	_ = unix.Unlinkat(f.dir, f.name, 0) // creating it tells, if not
	return false
}

// like reports whether a file has what e is to have besides content.
func (e entry) like(there *os.File, size int64) bool {
	var st unix.Stat_t
	err := unix.Fstat(int(there.Fd()), &st)
	return err == nil && st.Size == size && st.Mode == unix.S_IFREG|e.mode && st.Mtim == unix.Timespec{Sec: mtime}
}

// equal reports whether two readers give the same size bytes.
func equal(a, b io.Reader, size int64) bool {
	const most = 64 << 10 // at a time
	x, y := make([]byte, min(size, most)), make([]byte, min(size, most))
	for ; size > 0; size -= int64(len(x)) {
		x, y = x[:min(size, most)], y[:min(size, most)]
		_, err := io.ReadFull(a, x)
		_, other := io.ReadFull(b, y)
		if err != nil || other != nil || !bytes.Equal(x, y) {
			return false
		}
	}
	return true
}

// spare is another name in the directory of e, for a moment. Topmost entries,
// which are unpacked side by side, differ in what it is made of.
func (e entry) spare() entry {
	e.name = ".berth-" + e.name[:min(len(e.name), 32)]
	return e
}

// share lets others adopt the content of a file. Where that has come from
// elsewhere meanwhile, this file is made a link to it, unless that is no good
// any more: then it takes its place.
func (l links) share(key string, f entry, size int64) error {
	dir := int(l.dir.Fd())
	if unix.Linkat(f.dir, f.name, dir, key, 0) != unix.EEXIST {
		return nil // some file systems have no links
	}
	fd, err := openat(f.dir, f.name, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	own := os.NewFile(uintptr(fd), f.name)
	spare := f.spare()
	same := l.adopt(key, spare, size, own)
	if err := own.Close(); err != nil {
		return err
	}
	if same {
		return failed("rename", f.name, unix.Renameat(f.dir, spare.name, f.dir, f.name))
	}
	if unix.Unlinkat(dir, key, 0) == nil {
		_ = unix.Linkat(f.dir, f.name, dir, key, 0) // or another one was faster
	}
	return nil
}

// pruneLinks removes content that no store path has any more. It returns how
// many bytes of the disk that gave back.
func (s *Store) pruneLinks() (freed int64, err error) {
	d, err := os.Open(s.links())
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return freed, err
		}
		if st.Nlink > 1 {
			continue
		}
		if err := state.RemoveFile(filepath.Join(s.links(), name)); err != nil {
			return freed, err
		}
		freed += st.Blocks * 512
	}
	return freed, nil
}
