package rootfs

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// asOwner calls f with the file system identity base and all capabilities.
//
// An overlay works on its layers as who mounted it. Through an id-mapped mount
// the host's root has no number, so that it could create nothing there; the
// guest's root has one.
func asOwner(base uint32, f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if err := setOwner(base, &hdr, &caps); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, setOwner(0, &hdr, &caps)) }()
	return f()
}

// setOwner changes the thread's file system identity. That takes the
// capabilities about files from it, which are then put back.
func setOwner(id uint32, hdr *unix.CapUserHeader, caps *[2]unix.CapUserData) error {
	if err := unix.Setfsgid(int(id)); err != nil {
		return fmt.Errorf("set file system group: %w", err)
	}
	if err := unix.Setfsuid(int(id)); err != nil {
		return fmt.Errorf("set file system user: %w", err)
	}
	if err := unix.Capset(hdr, &caps[0]); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	return nil
}
