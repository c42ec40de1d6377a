package cgroup

import (
	"fmt"
	"os"
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
