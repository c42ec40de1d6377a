//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-containers/berth/internal/host"
)

// TestSettings asserts that a guest has what its keys say.
func TestSettings(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.file("secret", "hush")
	device := someDevice(b)
	b.run("create", "plain", "--image", debian(), "--start")
	b.run("create", "web", "--image", debian(), "--start",
		"tmpfs=[/scratch, \"/small:size=1M,mode=0700\"]",
		"environment.GREETING=hello world", "environment.EMPTY=\"\"",
		"credentials=[{id: token, path: secret}]",
		"additionalCapabilities=[CAP_SYS_TIME]", "dropCapabilities=[CAP_SYS_PTRACE]",
		"systemCallFilter=[\"@keyring\", \"~chroot\"]",
		"enableTun=true", "allowedDevices=[{node: "+device+", modifier: rw}]",
		"privateNetwork=true", "networks=[none]", "extraFlags=[--setenv=EXTRA=flag]")

	is(t, "tmpfs", b.in("web", "stat -f -c %T /scratch /small; stat -c %a /small; stat -f -c '%b %S' /small"), "tmpfs\ntmpfs\n700\n256 4096")
	is(t, "environment of init", b.in("web", `tr '\0' '\n' </proc/1/environ | grep -E '^(GREETING|EMPTY|EXTRA)=' | sort`), "EMPTY=\nEXTRA=flag\nGREETING=hello world")
	is(t, "credential", b.in("web", `systemd-run -qP -p LoadCredential=token sh -c 'cat "$CREDENTIALS_DIRECTORY/token"'`), "hush")
	is(t, "capabilities", b.capabilities("web", 25, 19, 12), "true false true") // SYS_TIME, SYS_PTRACE, NET_ADMIN
	is(t, "capabilities of another", b.capabilities("plain", 25, 19, 12), "false true false")
	nspawn, err := host.System().Nspawn()
	must(t, err)
	keys := "no" // keyrings are allowed to all guests from systemd 258 on
	if nspawn.Version >= 258 {
		keys = "yes"
	}
	for name, want := range map[string]string{"web": "yes no", "plain": keys + " yes"} {
		// 250 is keyctl, 161 chroot; berth exec is not under the guest's filter, a unit of the guest is
		const script = `print syscall(250, 0, -3, 0) >= 0 ? "yes" : "no", " ", syscall(161, my $root = "/") >= 0 ? "yes" : "no"`
		is(t, "system calls of "+name, b.out("exec", name, "--", "systemd-run", "-qP", "perl", "-e", script), want)
	}
	is(t, "TUN", b.in("web", "ip tuntap add dev tap0 mode tap && ip -br link show tap0 | cut -d' ' -f1"), "tap0")
	is(t, "links of its own", b.in("web", "ip -o link | cut -d: -f2 | tr -d ' ' | sort"), "lo\ntap0")
	is(t, "device", b.in("web", "exec 3<>"+device+" && echo open"), "open")
	is(t, "owner and mode of the device", b.in("web", "stat -c '%u %a' "+device), "0 "+b.mode(device))
	if device != "/dev/fuse" || nspawn.Version < 257 { // from there on all guests have that one
		b.fails(2, "exec", "plain", "--", "ls", device)
	}
}

// someDevice is a device of this machine that belongs to root and does no harm.
func someDevice(b *berth) string {
	b.Helper()
	for _, d := range []string{"/dev/fuse", "/dev/loop-control", "/dev/kmsg"} {
		if info, err := os.Stat(d); err == nil && info.Mode()&os.ModeDevice != 0 {
			return d
		}
	}
	b.Fatal("this machine has neither /dev/fuse nor anything like it")
	return ""
}

// mode is that of a file of the host, in octal.
func (b *berth) mode(path string) string {
	b.Helper()
	info, err := os.Stat(path)
	must(b, err)
	return fmt.Sprintf("%o", info.Mode().Perm())
}

// capabilities tells for each number whether the guest's init may have it.
func (b *berth) capabilities(name string, numbers ...int) string {
	b.Helper()
	set, err := strconv.ParseUint(b.in(name, "sed -n 's/^CapBnd:\\s*//p' /proc/1/status"), 16, 64)
	must(b, err)
	var out []string
	for _, n := range numbers {
		out = append(out, fmt.Sprint(set&(1<<n) != 0))
	}
	return strings.Join(out, " ")
}

// TestLimits looks for them in the kernel, and at what happens beyond them.
func TestLimits(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	if !holdsLimits() {
		b.limitsAreLost()
		return
	}
	b.run("create", "web", "--image", debian(), "limits={memoryMax: 128M, tasksMax: 60, cpuQuota: 50%}", "--start")
	leader := b.status("web").Leader
	is(t, "memory", b.limit("web", "memory", "memory.limit_in_bytes", "memory.max"), "134217728")
	is(t, "tasks", b.limit("web", "pids", "pids.max", "pids.max"), "60")
	quota := b.limit("web", "cpu", "cpu.cfs_quota_us", "cpu.max")
	if quota != "50000" && quota != "50000 100000" {
		t.Errorf("CPU quota: %s", quota)
	}
	r := b.try("exec", "web", "--", "sh", "-c", "head -c 400M /dev/zero | tail")
	if r.code == 0 {
		t.Errorf("a guest of 128 MiB kept 400: %v", r)
	}
	b.has(b.out("why", "web"), "want of memory", "limits.memoryMax is 128M")
	if r := b.try("exec", "web", "--", "sh", "-c", "for i in $(seq 100); do sleep 5 & done; wait"); !strings.Contains(r.err, "fork") {
		t.Errorf("a guest of 60 tasks started 100: %v", r)
	}
	if info, err := os.Stat("/dev/kmsg"); err == nil && info.Mode()&os.ModeCharDevice != 0 { // the kernel's log can be read
		b.has(b.out("why", "web"), "the last was tail, at", "the kernel refused further processes", "limits.tasksMax is 60")
	}
	is(t, "the first cause", b.causes("web")[0], "memory")
	b.has(b.run("set", "web", "limits.memoryMax=256M", "limits.tasksMax=", "limits.cpuQuota=75%").err, "limits.memoryMax: 128M -> 256M (live)")
	is(t, "memory", b.limit("web", "memory", "memory.limit_in_bytes", "memory.max"), "268435456")
	is(t, "tasks", b.limit("web", "pids", "pids.max", "pids.max"), "max")
	is(t, "leader", b.status("web").Leader, leader)
	b.run("restart", "web")
	is(t, "memory after a restart", b.limit("web", "memory", "memory.limit_in_bytes", "memory.max"), "268435456")
}

// holdsLimits reports whether the host has the controllers that limits need.
func holdsLimits() bool {
	for _, m := range mountinfo() {
		v1, _ := os.ReadFile(filepath.Join(m.target, "memory.limit_in_bytes"))
		v2, _ := os.ReadFile(filepath.Join(m.target, "cgroup.controllers"))
		if len(v1) > 0 || strings.Contains(string(v2), "memory") {
			return true
		}
	}
	return false
}

// limitsAreLost: where the host cannot hold limits, a guest runs without, and
// berth says so.
func (b *berth) limitsAreLost() {
	b.Helper()
	b.run("create", "web", "--image", tiny(), "limits={memoryMax: 128M, tasksMax: 60}", "--start")
	b.has(b.out("status", "web"), "limits.memoryMax, limits.tasksMax, which this host's cgroups cannot hold")
	b.has(b.out("why", "web"), "it goes without limits.memoryMax, limits.tasksMax, which")
	b.run("set", "web", "limits.cpuQuota=50%", "limits.tasksMax=")
	b.has(b.out("status", "web"), "limits.memoryMax, limits.cpuQuota, which")
	b.run("set", "web", "limits.cpuQuota=", "limits.memoryMax=")
	is(b, "lost without limits", len(b.status("web").Lost), 0)
	b.has(b.out("doctor"), "limits.memoryMax, limits.cpuQuota, limits.tasksMax", "have no effect")
}

// limit reads a limit of a container's control group, in v1 or v2.
func (b *berth) limit(name, controller, v1, v2 string) string {
	b.Helper()
	for _, d := range guestGroups(b.root, name) {
		for _, file := range []string{v1, v2} {
			text, err := os.ReadFile(filepath.Join(d, file))
			if err == nil && (strings.Contains(d, "/"+controller+"/") || file == v2 && v1 != v2) {
				return strings.TrimSpace(string(text))
			}
		}
	}
	b.Fatalf("%s has no limit %s or %s in %q", name, v1, v2, guestGroups(b.root, name))
	return ""
}

// TestIsolation: the guest's root is nobody on the host.
func TestIsolation(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.file("private/secret", "of the host's root\n")
	b.file("private/shared/x", "")
	must(t, os.Chmod(filepath.Join(b.work, "private/secret"), 0o600))
	must(t, os.Chmod(filepath.Join(b.work, "private"), 0o700))
	b.run("create", "web", "--image", debian(), "bindMounts./shared={hostPath: private/shared, isReadOnly: false}", "--start")
	b.run("create", "other", "--image", debian(), "--start")

	s := b.status("web")
	is(t, "the init's uid on the host", uidOf(b, s.Leader), s.UIDBase)
	forbidden := func(what, script string) {
		t.Helper()
		if r := b.try("exec", "web", "--", "sh", "-euc", script); r.code == 0 {
			t.Errorf("root in a guest: %s: %v", what, r)
		}
	}
	forbidden("reads beside what it is given", "cat /shared/../secret /shared/../../private/secret")
	forbidden("leaves by a link", "ln -s ../secret /shared/link; cat /shared/link")
	forbidden("makes a disk's node", "mknod /root/sda b 8 0 && head -c1 /root/sda")
	forbidden("makes a disk's node on the host's file system", "mknod /shared/sda b 254 0 && head -c1 /shared/sda")
	forbidden("changes the kernel", "echo 1 >/proc/sys/kernel/panic")
	forbidden("changes its own limits", "mount -t cgroup -o memory none /mnt && echo -1 >/mnt/memory.limit_in_bytes || mount -t cgroup2 none /mnt && echo max >/mnt/memory.max")
	forbidden("loads a module", "modprobe dummy || insmod /dev/null")
	forbidden("sets the clock", "date -s 2001-01-01")
	forbidden("kills a process of the host", fmt.Sprintf("kill -0 %d", b.status("other").Leader))
	forbidden("sees the image", "ls "+filepath.Join(b.root, "var/lib/berth/images"))
	b.in("web", "cp /bin/true /shared/tool; chmod 4755 /shared/tool") // is root's own on the host: it is allowed to, as docs say
	seen := b.in("web", "ls /proc | grep -c '^[0-9]'")
	if n, _ := strconv.Atoi(seen); n > 30 {
		t.Errorf("the guest sees %s processes", seen)
	}
	if strings.Contains(b.in("web", "cat /proc/*/cmdline | tr '\\0' ' '"), "nspawn") {
		t.Error("the guest sees systemd-nspawn")
	}
	is(t, "mounts of the host that it sees", b.in("web", "grep -c "+b.root+"/var /proc/self/mountinfo || true"), "0")
}
