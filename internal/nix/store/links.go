package store

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
)

// linkDirs are where content is found by its hash: that of the store, and that
// of what is not known to be on the disk yet.
type linkDirs struct{ old, fresh *os.File }

func (s *Store) openLinks() (linkDirs, error) {
	old, err := os.Open(s.links())
	if err != nil {
		return linkDirs{}, err
	}
	fresh, err := os.Open(s.stagedLinks())
	if err != nil {
		return linkDirs{}, errors.Join(err, old.Close())
	}
	return linkDirs{old, fresh}, nil
}

func (l linkDirs) close() error { return errors.Join(l.old.Close(), l.fresh.Close()) }

// adopt makes name a link to content that is there, and says whether it could.
// A file can have only so many links, and some file systems have none.
func (l linkDirs) adopt(key string, dir int, name string) bool {
	return unix.Linkat(int(l.old.Fd()), key, dir, name, 0) == nil ||
		unix.Linkat(int(l.fresh.Fd()), key, dir, name, 0) == nil
}

// offer lets others adopt the content of a file, and says whether it is the
// first with it.
func (l linkDirs) offer(key string, dir int, name string) bool {
	return unix.Linkat(dir, name, int(l.fresh.Fd()), key, 0) == nil
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
