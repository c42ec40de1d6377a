package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Fingerprint is a hash over what the tree below root looks like without
// reading its files: names, types, modes, owners, sizes, modification times
// and inode numbers. Two equal fingerprints of one directory mean that nobody
// changed it in between, unless by turning back a clock.
func Fingerprint(ctx context.Context, root *os.Root) (string, error) {
	h := sha256.New()
	err := walk(ctx, root, func(n *node) error {
		st := &n.stat
		size := st.Size
		if n.kind() == unix.S_IFDIR {
			size = 0 // says nothing about its content
		}
		_, err := fmt.Fprintf(h, "%q %o %d:%d %d %d.%09d %d\n",
			n.name, st.Mode, st.Uid, st.Gid, size, st.Mtim.Sec, st.Mtim.Nsec, st.Ino)
		return err
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Usage is how many bytes of disk the tree below root takes. Hard links count
// once, holes not at all.
func Usage(ctx context.Context, root *os.Root) (int64, error) {
	var sum int64
	seen := make(map[inode]bool)
	err := walk(ctx, root, func(n *node) error {
		if n.stat.Nlink > 1 && n.kind() != unix.S_IFDIR {
			if seen[n.inode()] {
				return nil
			}
			seen[n.inode()] = true
		}
		sum += n.stat.Blocks * 512
		return nil
	})
	return sum, err
}
