package archive

import (
	"archive/tar"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// attributes are what a file has besides its name and content.
type attributes struct {
	uid, gid int
	mode     uint32 // permissions, setuid, setgid, sticky
	mtime    unix.Timespec
	xattrs   []xattr
}

// maxID is the greatest user or group number; 2^32-1 means "no change" to
// chown(2).
const maxID = 1<<32 - 2

// attributes takes from a header what is to be applied.
func (x *extractor) attributes(h *tar.Header) (attributes, error) {
	a := attributes{uid: h.Uid, gid: h.Gid, mode: uint32(h.Mode & 0o7777)}
	if o := x.opts.Owner; o != nil {
		a.uid, a.gid = int(o.UID), int(o.GID)
	}
	if a.uid < 0 || a.uid > maxID || a.gid < 0 || a.gid > maxID {
		return a, fmt.Errorf("owner %d:%d is outside 0 to %d", a.uid, a.gid, maxID)
	}
	a.mtime = unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())}
	var dropped int64
	a.xattrs, dropped = headerXattrs(h)
	if x.opts.Owner != nil || x.opts.Unprivileged {
		dropped += a.dropPrivileges()
	}
	x.stats.Xattrs += dropped
	return a, nil
}

// dropPrivileges takes away what would let anybody who runs the file act as
// its new owner, which the archive cannot have meant. It returns the number of
// attributes taken.
func (a *attributes) dropPrivileges() int64 {
	a.mode &^= unix.S_ISUID | unix.S_ISGID
	before := len(a.xattrs)
	a.xattrs = slices.DeleteFunc(a.xattrs, func(x xattr) bool { return x.name == xattrCapability })
	return int64(before - len(a.xattrs))
}

// apply gives an open file its attributes, but for the time. The owner comes
// first, because chown(2) clears file capabilities and setuid.
func (x *extractor) apply(fd int, a attributes) error {
	if err := unix.Fchown(fd, a.uid, a.gid); err != nil {
		return os.NewSyscallError("chown", err)
	}
	dropped, err := setXattrs(fd, a.xattrs)
	x.stats.Xattrs += dropped
	if err != nil {
		return err
	}
	for _, attr := range a.xattrs {
		x.acl = x.acl || attr.name == xattrDefaultACL
	}
	if x.acl {
		if err := inheritNoACL(fd, a.xattrs); err != nil {
			return err
		}
	}
	return os.NewSyscallError("chmod", unix.Fchmod(fd, a.mode))
}

// ownImplied gives a directory without an entry its owner.
func (x *extractor) ownImplied(fd int) error {
	o := x.opts.Owner
	if o == nil {
		o = &Owner{}
	}
	return os.NewSyscallError("chown", unix.Fchown(fd, int(o.UID), int(o.GID)))
}
