//go:build packages

package packages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Where test/hosts puts what is to be tested.
const (
	built    = "/opt/berth/packages-built"
	tinyInit = "/opt/berth/tinyinit"
	tinyTree = "/srv/tiny"
)

// TestMain refuses to install packages on a machine that is not made for it.
func TestMain(m *testing.M) {
	if _, err := os.Stat(built); err != nil {
		fmt.Fprintln(os.Stderr, "packages: this runs on the hosts of test/hosts only:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestPackages goes through the life of the package on one host.
func TestPackages(t *testing.T) {
	// The suite's berth would be found before that of the package.
	if err := os.Remove("/usr/local/bin/berth"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"install", install}, {"start", start}, {"upgrade", upgrade}, {"boot", atBoot}, {"remove", remove}, {"again", again}, {"purge", purge}, {"rpm", rpm},
	} {
		if !t.Run(step.name, step.test) {
			return // those after it stand on it
		}
	}
}

func install(t *testing.T) {
	run(t, "dpkg", "--install", deb(t, "1.0.0"))
	has(t, run(t, "berth", "version"), "berth 1.0.0 ")
	for _, f := range []string{
		"/usr/bin/berth", "/usr/bin/nixos-container", "/usr/lib/systemd/system/berth@.service", "/usr/lib/systemd/system/berth-autostart.service",
		"/usr/lib/systemd/system/container@.service", "/usr/share/bash-completion/completions/berth", "/usr/share/zsh/vendor-completions/_berth",
		"/usr/share/fish/vendor_completions.d/berth.fish", "/etc/berth/berth.yaml",
	} {
		if info, err := os.Stat(f); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	// The host leaves manuals out, as small images do: the package has them.
	has(t, run(t, "dpkg-query", "--listfiles", "berth"), "/usr/share/man/man1/berth.1.gz\n", "/usr/share/man/man1/berth-why.1.gz\n", "/usr/share/doc/berth/copyright\n")
	has(t, read(t, "/usr/lib/systemd/system/berth@.service"), "\nExecStart=/usr/bin/berth run %i\n")
	has(t, run(t, "systemctl", "is-enabled", "berth-autostart.service"), "enabled")
	run(t, "systemd-analyze", "verify", "--man=no", "berth-autostart.service", "berth@x.service")
	has(t, run(t, "berth", "install"), "nothing to do")
	if _, err := os.Stat("/etc/systemd/system/berth@.service"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("berth install made what the package has: %v", err)
	}
	has(t, run(t, "berth", "uninstall"), "removed "+autostartLink)
	has(t, run(t, "berth", "uninstall"), "nothing to do")
	has(t, run(t, "berth", "install"), "made "+autostartLink)
	has(t, run(t, "dpkg-query", "--show", "--showformat=${Conffiles} ${Depends}", "berth"), "/etc/berth/berth.yaml", "systemd-container")
	run(t, "bash", "-c", ". /usr/share/bash-completion/completions/berth && complete -p berth")
	run(t, "berth", "doctor")
}

// autostartLink is what enables the unit that starts containers at boot.
const autostartLink = "/etc/systemd/system/multi-user.target.wants/berth-autostart.service"

// start declares a container and starts it.
func start(t *testing.T) {
	must(t, errors.Join(os.MkdirAll(tinyTree+"/sbin", 0o755), os.MkdirAll(tinyTree+"/usr", 0o755), os.MkdirAll(tinyTree+"/etc", 0o755),
		os.WriteFile(tinyTree+"/etc/os-release", []byte("ID=tiny\n"), 0o644)))
	run(t, "cp", tinyInit, tinyTree+"/sbin/init")
	must(t, os.WriteFile("/etc/berth/containers/web.yaml", []byte("containers:\n  web: { image: \"dir:"+tinyTree+"\" }\n"), 0o644))
	run(t, "berth", "apply", "--yes")
	has(t, run(t, "systemctl", "show", "--property=FragmentPath,ActiveState", "berth@web.service"),
		"/lib/systemd/system/berth@.service", "ActiveState=active")
}

// upgrade installs the next version under the running guest.
func upgrade(t *testing.T) {
	before := lookAt(t)
	must(t, os.WriteFile("/etc/berth/berth.yaml", []byte("# my own\n"), 0o644))
	run(t, "dpkg", "--install", deb(t, "1.0.1"))
	has(t, run(t, "berth", "version"), "berth 1.0.1 ")
	if after := lookAt(t); after != before {
		t.Errorf("the guest is not what it was: %+v, then %+v", before, after)
	}
	has(t, read(t, "/etc/berth/berth.yaml"), "# my own")
	has(t, run(t, "systemctl", "show", "--property=NeedDaemonReload", "berth@web.service"), "NeedDaemonReload=no")
	run(t, "berth", "restart", "web")
	if after := lookAt(t); after.boot == before.boot {
		t.Errorf("the guest cannot be told from one that was restarted: %+v", after)
	}
}

// atBoot starts what starts at boot, as the machine does then.
func atBoot(t *testing.T) {
	run(t, "berth", "stop", "web")
	run(t, "systemctl", "set-environment", "BERTH_SUPERVISOR=systemd") // as all commands here have it
	run(t, "systemctl", "restart", "berth-autostart.service")          // it may have run at this boot
	has(t, run(t, "systemctl", "is-active", "berth@web.service"), "active")
}

// remove takes the package away under the running guest, which goes on and can
// still be stopped in order.
func remove(t *testing.T) {
	before := lookAt(t)
	has(t, run(t, "dpkg", "--remove", "berth"), "go on running", "berth@web.service", "/var/lib/berth stay")
	if _, err := exec.LookPath("berth"); err == nil {
		t.Error("berth is still there")
	}
	has(t, run(t, "systemctl", "show", "--property=ActiveState,KillMode", "berth@web.service"), "ActiveState=active", "KillMode=mixed")
	if boot := read(t, fmt.Sprintf("/proc/%d/root/proc/sys/kernel/random/boot_id", before.leader)); boot != before.boot {
		t.Errorf("the guest is not what it was: %s, then %s", before.boot, boot)
	}
	run(t, "systemctl", "stop", "berth@web.service")
	has(t, run(t, "systemctl", "show", "--property=Result", "berth@web.service"), "Result=success")
	for _, f := range []string{"/var/lib/berth/containers/web", "/etc/berth/berth.yaml", "/etc/berth/containers/web.yaml"} {
		if _, err := os.Stat(f); err != nil {
			t.Errorf("it is gone: %v", err)
		}
	}
}

// again installs it once more: everything is there, and the package's unit
// counts again.
func again(t *testing.T) {
	run(t, "dpkg", "--install", deb(t, "1.0.1"))
	has(t, run(t, "systemctl", "is-enabled", "berth-autostart.service"), "enabled")
	run(t, "berth", "start", "web")
	has(t, run(t, "systemctl", "show", "--property=FragmentPath", "berth@web.service"), "/lib/systemd/system/berth@.service")
	run(t, "berth", "stop", "web")
}

func purge(t *testing.T) {
	run(t, "dpkg", "--purge", "berth")
	for _, f := range []string{
		"/etc/berth/berth.yaml", "/usr/lib/systemd/system/berth@.service", "/run/systemd/system/berth@.service",
		"/etc/systemd/system/multi-user.target.wants/berth-autostart.service",
	} {
		if _, err := os.Lstat(f); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left (%v)", f, err)
		}
	}
	if left, _ := filepath.Glob("/etc/systemd/system/berth@*"); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	if _, err := os.Stat("/var/lib/berth/containers/web"); err != nil {
		t.Errorf("data is gone: %v", err)
	}
}

// guest is what tells a running guest from one that was restarted.
type guest struct {
	boot   string // its boot ID
	leader int
}

func lookAt(t *testing.T) guest {
	t.Helper()
	var all []struct {
		State  string
		Leader int
	}
	if err := json.Unmarshal([]byte(run(t, "berth", "status", "--json", "web")), &all); err != nil || len(all) != 1 || all[0].State != "running" {
		t.Fatalf("%+v, %v", all, err)
	}
	return guest{read(t, fmt.Sprintf("/proc/%d/root/proc/sys/kernel/random/boot_id", all[0].Leader)), all[0].Leader}
}

// deb is the package of a version.
func deb(t *testing.T, version string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(built, "berth_"+version+"_*.deb"))
	if err != nil || len(all) != 1 {
		t.Fatalf("packages of %s: %q, %v", version, all, err)
	}
	return all[0]
}

// run runs a command that succeeds, and returns all that it prints.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "BERTH_SUPERVISOR=systemd", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func has(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
