//go:build packages

package packages

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// rpm goes through the life of the other package, on a host that has the tool
// but not its database: what it depends on is not known there.
func rpm(t *testing.T) {
	has(t, run(t, "rpm", "--query", "--requires", "--package", rpmOf(t, "1.0.0")), "systemd-container")
	run(t, "rpm", "--install", "--nodeps", rpmOf(t, "1.0.0"))
	has(t, run(t, "berth", "version"), "berth 1.0.0 ")
	has(t, run(t, "rpm", "--query", "--file", "/usr/bin/berth", "/usr/lib/systemd/system/berth@.service"), "berth-1.0.0-1")
	run(t, "rpm", "--verify", "--nodeps", "berth")
	has(t, run(t, "rpm", "--query", "--configfiles", "berth"), "/etc/berth/berth.yaml")
	has(t, run(t, "systemctl", "is-enabled", "berth-autostart.service"), "enabled")
	run(t, "berth", "start", "web") // it was not purged

	before := lookAt(t)
	must(t, os.WriteFile("/etc/berth/berth.yaml", []byte("# my own\n"), 0o644))
	run(t, "rpm", "--upgrade", "--nodeps", rpmOf(t, "1.0.1"))
	has(t, run(t, "berth", "version"), "berth 1.0.1 ")
	if after := lookAt(t); after != before {
		t.Errorf("the guest is not what it was: %+v, then %+v", before, after)
	}
	has(t, read(t, "/etc/berth/berth.yaml"), "# my own")
	has(t, run(t, "systemctl", "is-enabled", "berth-autostart.service"), "enabled")

	has(t, run(t, "rpm", "--erase", "--nodeps", "berth"), "go on running", "berth@web.service", "/var/lib/berth stay")
	if _, err := exec.LookPath("berth"); err == nil {
		t.Error("berth is still there")
	}
	has(t, run(t, "systemctl", "show", "--property=ActiveState", "berth@web.service"), "ActiveState=active")
	run(t, "systemctl", "stop", "berth@web.service")
	for _, f := range []string{"/usr/lib/systemd/system/berth@.service", "/etc/systemd/system/multi-user.target.wants/berth-autostart.service"} {
		if _, err := os.Lstat(f); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left (%v)", f, err)
		}
	}
	has(t, read(t, "/etc/berth/berth.yaml.rpmsave"), "# my own")
}

// rpmOf is the package of a version.
func rpmOf(t *testing.T, version string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(built, "berth-"+version+"-*.rpm"))
	if err != nil || len(all) != 1 {
		t.Fatalf("packages of %s: %q, %v", version, all, err)
	}
	return all[0]
}
