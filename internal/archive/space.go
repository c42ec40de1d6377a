package archive

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Extract leaves so much of a file system free: 5 %, but no more than that.
const (
	reserveBytes = 256 << 20
	reserveFiles = 1 << 10
)

// space watches that a file system does not fill up. It asks the kernel only
// when as much has been written as was found free, or 16 MiB.
type space struct {
	fd     int
	credit int64
}

// spend is called before n bytes are written.
func (s *space) spend(n int64) error {
	if s.credit -= n; s.credit >= 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(s.fd, &st); err != nil {
		return os.NewSyscallError("statfs", err)
	}
	free := int64(st.Bavail) * st.Bsize
	keep := min(int64(st.Blocks)*st.Bsize/20, reserveBytes)
	if free-n < keep {
		return fmt.Errorf("%w: %d MiB are free, and %d MiB stay free", ErrSpace, free>>20, keep>>20)
	}
	if keep := min(st.Files/20, reserveFiles); st.Files > 0 && st.Ffree < keep {
		return fmt.Errorf("%w: room for %d more files, and for %d it is kept", ErrSpace, st.Ffree, keep)
	}
	s.credit = min(free-n-keep, 16<<20)
	return nil
}
