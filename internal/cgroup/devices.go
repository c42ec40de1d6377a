package cgroup

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Device is a rule of the v1 devices controller, in the kernel's form: "c 1:3
// rwm", "c 136:* rw".
type Device string

// StandardDevices are what every guest may use: those that systemd-nspawn
// makes in /dev, terminals, and the making of nodes that nobody may open.
func StandardDevices() []Device {
	return []Device{
		"c *:* m", "b *:* m",
		"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", // null zero full random urandom
		"c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", // tty console ptmx pts
	}
}

// Node is what the kernel knows a device node by.
type Node struct {
	Char         bool
	Major, Minor uint32
}

// NodeAt is the device node at a path; false where there is none.
func NodeAt(path string) (Node, bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return Node{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Node{}, false
	}
	return Node{info.Mode()&os.ModeCharDevice != 0, unix.Major(st.Rdev), unix.Minor(st.Rdev)}, true
}

// Device is the rule that allows what modifier has, such as "rwm", of the node.
func (n Node) Device(modifier string) Device {
	kind := "b"
	if n.Char {
		kind = "c"
	}
	return Device(fmt.Sprintf("%s %d:%d %s", kind, n.Major, n.Minor, modifier))
}

// Tun is /dev/net/tun, which a guest may use that has enableTun.
func Tun() Node { return Node{Char: true, Major: 10, Minor: 200} }

// Standard reports whether it is one of StandardDevices, or a terminal.
func (n Node) Standard() bool {
	return slices.Contains(StandardDevices(), n.Device("rwm")) ||
		n.Char && n.Major >= 136 && n.Major <= 143 // see Documentation/admin-guide/devices.txt of the kernel
}

// AllowDevices lets the group use these devices and no others. In the v2
// hierarchy, which has no such controller, it does nothing: a guest there has
// no capability to make device nodes.
func (g Group) AllowDevices(rules []Device) error {
	t, ok := g.h.controller("devices")
	if !ok {
		return nil
	}
	if err := os.WriteFile(g.dir(t)+"/devices.deny", []byte("a"), 0); err != nil {
		return err
	}
	for _, r := range rules {
		if err := os.WriteFile(g.dir(t)+"/devices.allow", []byte(r), 0); err != nil {
			return fmt.Errorf("allow device %q: %w", r, err)
		}
	}
	return nil
}
