package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// paxXattr is the prefix under which PAX headers carry extended attributes.
const paxXattr = "SCHILY.xattr."

const (
	xattrCapability = "security.capability"
	xattrACL        = "system.posix_acl_access"
	xattrDefaultACL = "system.posix_acl_default"
)

// keepXattr reports whether an extended attribute travels. Those of overlayfs
// (trusted.overlay.*) and of security modules belong to a host, not to a tree.
func keepXattr(name string) bool {
	switch name {
	case xattrCapability, xattrACL, xattrDefaultACL:
		return true
	}
	// The kernel stores overlayfs attributes of user namespaces there.
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// xattr is one extended attribute.
type xattr struct{ name, value string }

// headerXattrs gives the attributes of an entry that travel, sorted by name,
// and how many do not.
func headerXattrs(h *tar.Header) (keep []xattr, dropped int64) {
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, paxXattr)
		switch {
		case !ok:
		case keepXattr(name):
			keep = append(keep, xattr{name, v})
		default:
			dropped++
		}
	}
	slices.SortFunc(keep, func(a, b xattr) int { return strings.Compare(a.name, b.name) })
	return keep, dropped
}

// setXattrs sets attributes of an open file, and counts those that the file
// system has no room for. File capabilities are never left out: programs
// would break without a word.
func setXattrs(fd int, attrs []xattr) (dropped int64, err error) {
	for _, a := range attrs {
		err := unix.Fsetxattr(fd, a.name, []byte(a.value), 0)
		switch {
		case err == unix.EOPNOTSUPP && a.name != xattrCapability:
			dropped++
		case err != nil:
			return dropped, fmt.Errorf("set extended attribute %q: %w", clip(a.name), err)
		}
	}
	return dropped, nil
}

// inheritNoACL removes what a new file took over from a default ACL of its
// directory and does not have in the archive.
func inheritNoACL(fd int, attrs []xattr) error {
	for _, name := range []string{xattrACL, xattrDefaultACL} {
		if slices.ContainsFunc(attrs, func(a xattr) bool { return a.name == name }) {
			continue
		}
		err := unix.Fremovexattr(fd, name)
		if err != nil && err != unix.ENODATA && err != unix.EOPNOTSUPP {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}

// fileXattrs reads the attributes of an open file that travel, as PAX
// records; nil where there are none. A name with "=" fits into no record and
// is left out.
func fileXattrs(fd int) (map[string]string, error) {
	list, err := readSized(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
	if err != nil || len(list) == 0 {
		return nil, err
	}
	var records map[string]string
	for name := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		n := string(name)
		if !keepXattr(n) || strings.Contains(n, "=") {
			continue
		}
		v, err := readSized(func(b []byte) (int, error) { return unix.Fgetxattr(fd, n, b) })
		if err != nil {
			return nil, fmt.Errorf("read extended attribute %q: %w", n, err)
		}
		if records == nil {
			records = make(map[string]string)
		}
		records[paxXattr+n] = string(v)
	}
	return records, nil
}

// readSized calls read with buffers that grow until its answer fits. An
// attribute that is gone, or a file system without any, reads as empty.
func readSized(read func([]byte) (int, error)) ([]byte, error) {
	for size := 1 << 10; ; size *= 4 {
		b := make([]byte, size)
		n, err := read(b)
		switch err {
		case nil:
			return b[:n], nil
		case unix.ERANGE:
			continue
		case unix.EOPNOTSUPP, unix.ENODATA:
			return nil, nil
		default:
			return nil, err
		}
	}
}
