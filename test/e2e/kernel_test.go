//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// TestOldKernel runs a guest under a kernel that says it is too old to map the
// owners of an overlay's layers: it has a user namespace all the same, says
// what it goes without, and keeps its files when the kernel is a newer one.
func TestOldKernel(t *testing.T) {
	t.Parallel()
	now, old := newBerth(t), &berth{}
	*old = *now
	old.longest = 5 * time.Minute // as the guest has
	old.binary = filepath.Join(now.work, "old")
	script := fmt.Sprintf("#!/bin/sh\nexec setarch --uname-2.6 %s \"$@\"\n", os.Getenv(binaryVariable))
	must(t, os.WriteFile(old.binary, []byte(script), 0o755))
	renew := func() {} // what units run
	if underSystemd() {
		dir := filepath.Join("/run/systemd/system", systemd.Unit(state.Paths{Root: now.root}, "web")+".d")
		t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
		dropIn := fmt.Sprintf("[Service]\nExecStart=\nExecStart=%s --root %s run web\n", old.binary, now.root)
		renew = func() {
			must(t, os.MkdirAll(dir, 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "90-old-kernel.conf"), []byte(dropIn), 0o644))
			must(t, command(t.Context(), "systemctl", "daemon-reload"))
			renew = func() {
				must(t, os.Remove(filepath.Join(dir, "90-old-kernel.conf")))
				must(t, command(t.Context(), "systemctl", "daemon-reload"))
			}
		}
	}

	// The owner of each file is changed before the guest's init runs, which on a
	// busy machine takes a minute.
	now.run("create", "web", "--image", debian(), "--start", "timeoutStartSec=5min")
	now.in("web", "echo mine >/root/file; chown 33 /root/file")
	now.run("stop", "web")

	renew()
	old.run("start", "web")
	is(t, "owner of an old file", old.in("web", "stat -c %u /root/file"), "33")
	is(t, "owner of a program", old.in("web", "stat -c %u /usr/bin/true"), "0")
	if shift := strings.Fields(old.in("web", "cat /proc/self/uid_map"))[1]; shift == "0" {
		t.Error("root in the guest is root on the host")
	}
	old.has(old.out("status", "web"), "starting quickly")
	old.in("web", "touch /root/new /usr/bin/new")
	old.run("stop", "web")

	renew()
	now.run("start", "web")
	is(t, "owners under the newer kernel", now.in("web", "stat -c %u /root/file /root/new /usr/bin/new /usr/bin/true"), "33\n0\n0\n0")
	now.run("stop", "web")
	now.run("set", "web", "privateUsers=no")
	r := now.fails(1, "start", "web")
	now.has(r.err, "the files of this container belong to the users from")
}
