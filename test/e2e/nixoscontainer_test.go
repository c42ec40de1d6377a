//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dropIn is berth under the name nixos-container, and by its own, on a host
// whose network is the test's.
type dropIn struct {
	*lan
	program string
}

func newDropIn(t *testing.T) *dropIn {
	t.Helper()
	d := &dropIn{lan: newLan(t)}
	link := filepath.Join(d.work, "bin/nixos-container")
	must(t, os.MkdirAll(filepath.Dir(link), 0o755))
	must(t, os.Symlink(os.Getenv(binaryVariable), link))
	d.program = filepath.Join(d.work, "nixos-container")
	must(t, os.WriteFile(d.program, fmt.Appendf(nil, "#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(d.enter, " "), link), 0o755))
	t.Cleanup(func() { // before finish
		for n := range strings.FieldsSeq(d.nix("list").out) {
			d.nix("destroy", n)
		}
	})
	return d
}

// nix runs nixos-container.
func (d *dropIn) nix(args ...string) result {
	own := *d.berth
	own.binary = d.program
	return own.try(args...)
}

// says runs nixos-container, and asserts its exit code and its answer.
func (d *dropIn) says(code int, out string, args ...string) result {
	d.Helper()
	r := d.nix(args...)
	if r.code != code || strings.TrimSuffix(r.out, "\n") != out {
		d.Fatalf("want exit code %d and %q: %v", code, out, r)
	}
	if r.code != 0 && args[0] != "run" && !strings.Contains(r.err, "nixos-container: ") {
		d.Errorf("the error does not say whose it is: %v", r)
	}
	return r
}

func (d *dropIn) path(elem ...string) string {
	return filepath.Join(append([]string{d.root}, elem...)...)
}

// missing asserts that nothing is left of a container of nixos-container.
func (d *dropIn) missing(name string) {
	d.Helper()
	for _, path := range []string{"etc/nixos-containers/" + name + ".conf", "etc/nixos-containers/" + name + ".nix", "var/lib/nixos-containers/" + name,
		"nix/var/nix/profiles/per-container/" + name, "nix/var/nix/gcroots/per-container/" + name, "var/lib/berth/containers/" + name, "var/lib/berth/systems/" + name} {
		if _, err := os.Lstat(d.path(path)); !errors.Is(err, os.ErrNotExist) {
			d.Errorf("%s is left: %v", path, err)
		}
	}
}

// TestNixosContainer goes through the verbs of nixos-container, with its words
// and its exit codes.
func TestNixosContainer(t *testing.T) {
	d := newDropIn(t)
	s := d.systems()
	one := s.Systems["one"]
	d.says(0, "", "list")
	d.says(1, "gone", "status", "web")
	for _, verb := range []string{"start", "stop", "restart", "terminate", "update", "login", "root-login", "run", "show-ip", "show-host-key"} {
		d.has(d.says(1, "", verb, "web").err, "does not exist")
	}
	d.says(0, "", "destroy", "web")
	r := d.says(0, "", "create", "web", "--system-path", one)
	is(t, "what create says", r.err, "host IP is 10.233.1.1, container IP is 10.233.1.2\n")
	is(t, "file", d.read(d.path("etc/nixos-containers/web.conf")),
		"PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2\nHOST_BRIDGE=\nHOST_PORT=\nAUTO_START=0\nPRIVATE_USERS=pick\n")
	to, err := filepath.EvalSymlinks(d.path("nix/var/nix/profiles/per-container/web/system"))
	must(t, err)
	is(t, "profile", to, one)
	d.says(0, "web", "list")
	d.says(0, "down", "status", "web")
	d.says(0, "10.233.1.2", "show-ip", "web")
	d.says(1, "", "show-host-key", "web")
	d.says(1, "", "terminate", "web")
	d.says(1, "", "run", "web", "--", "true")
	d.says(0, "", "stop", "web")
	d.has(d.says(1, "", "create", "web", "--system-path", one).err, "already exists")

	d.says(0, "", "start", "web")
	d.says(0, "up", "status", "web")
	d.says(0, "", "start", "web")
	d.inside(one)
	d.data()
	leader := d.status("web").Leader
	d.says(0, "", "restart", "web")
	d.says(0, "up", "status", "web")
	if d.status("web").Leader == leader {
		t.Error("restart has not restarted it")
	}
	d.says(0, "kept", "run", "web", "--", "cat", "/root/kept")
	d.says(0, "", "terminate", "web")
	d.says(0, "down", "status", "web")
	d.says(0, "", "restart", "web") // one that is down is started
	d.says(0, "", "stop", "web")
	d.says(0, "down", "status", "web")
	d.says(0, "", "start", "web")
	d.says(0, "", "destroy", "web") // while it runs
	d.says(0, "", "list")
	d.says(1, "gone", "status", "web")
	d.missing("web")
}

// TestNixosContainerRestore brings data back from a backup after the container
// was destroyed.
func TestNixosContainerRestore(t *testing.T) {
	d := newDropIn(t)
	s := d.systems()
	d.says(0, "", "create", "web", "--system-path", s.Systems["one"])
	file := d.path("etc/nixos-containers/web.conf")
	must(t, os.WriteFile(file, []byte("PRIVATE_NETWORK=1\nHOST_ADDRESS=10.8.0.1\nLOCAL_ADDRESS=10.8.0.2\nPRIVATE_USERS=pick\n"), 0o644))
	d.says(0, "", "start", "web")
	d.says(0, "", "run", "web", "--", "sh", "-c", "echo kept >/root/kept; chown alice /root/kept")
	backup := filepath.Join(d.work, "backup.tar.gz")
	d.host(fmt.Sprintf("tar czf %s -C %s var/lib/nixos-containers/web/ || test $? = 1", backup, d.root))
	d.says(0, "", "destroy", "web")
	d.missing("web")
	d.has(d.says(1, "", "start", "web").err, "does not exist")
	d.host(fmt.Sprintf("tar xzf %s -C %s", backup, d.root))
	d.says(0, "", "start", "web")
	d.says(0, "web", "list")
	d.says(0, "kept\nalice", "run", "web", "--", "sh", "-c", "cat /root/kept; stat -c %U /root/kept")
	d.says(0, "10.8.0.2", "show-ip", "web")
	d.says(0, "", "stop", "web")
	d.says(0, "", "destroy", "web")
	d.says(0, "", "create", "web", "--system-path", s.Systems["one"]) // which is another one
	d.says(0, "", "destroy", "web")
}

// inside looks at the running guest web.
func (d *dropIn) inside(system string) {
	d.Helper()
	d.says(0, "running", "run", "web", "--", "systemctl", "is-system-running", "--wait")
	d.says(0, system, "run", "web", "--", "readlink", "/run/current-system")
	d.says(7, "0 /root a b'$c /run/wrappers/bin:/run/current-system/sw/bin", "run", "web", "--", "sh", "-c", `echo $(id -u) $HOME "$1" $PATH; exit 7`, "x", "a b'$c")
	d.says(127, "", "run", "web", "--", "no-such-program")
	d.says(0, "TERM=dumb", "run", "web", "--", "sh", "-c", "env | grep ^TERM=")
	d.says(0, "", "run", "web")
	d.says(0, "10.233.1.2/32", "run", "web", "--", "sh", "-c", "ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4")
	d.says(0, "generation 1", "run", "web", "--", "busybox", "wget", "-qO-", "http://127.0.0.1:8080/")
	is(d, "root in the guest", d.host(fmt.Sprintf("stat -c %%u /proc/%d", d.status("web").Leader)), fmt.Sprint(d.status("web").UIDBase))
	is(d, "the host's address", d.host("ip -o -4 addr show to 10.233.1.1 | wc -l"), "1")
	is(d, "from the host", d.host("bash -c 'exec 3<>/dev/tcp/10.233.1.2/8080; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3' | tail -1"), "generation 1")
	own := *d.berth
	own.binary = d.program
	if r := own.feed(strings.NewReader("echo $0; readlink /proc/1/root; exit 9\n"), "root-login", "web"); r.code != 9 || !strings.HasPrefix(r.out, "-") {
		d.Errorf("root-login: %v", r)
	}
}

// data writes to the guest web, and looks at that on the host.
func (d *dropIn) data() {
	d.Helper()
	d.says(0, "", "run", "web", "--", "sh", "-c", "echo kept >/root/kept; mkdir -p /etc/ssh; echo ecdsa >/etc/ssh/ssh_host_ecdsa_key.pub; chown alice /root/kept; mkdir -p /var/empty; ln -s /etc/shadow /etc/ssh/ssh_host_ed25519_key.pub")
	is(d, "data on the host", d.read(d.path("var/lib/nixos-containers/web/root/kept")), "kept\n")
	if out := d.host("stat -c %u " + d.path("var/lib/nixos-containers/web/root/kept")); out == "0" || len(out) > 4 {
		d.Errorf("alice has the number %s on disk, not one of the guest's", out)
	}
	d.says(0, "ecdsa", "show-host-key", "web") // and not what the other file leads to
	d.says(0, "", "run", "web", "--", "sh", "-c", "rm /etc/ssh/ssh_host_ed25519_key.pub; printf 'ssh-ed25519 AAAA \\033[2Jroot@web\\n' >/etc/ssh/ssh_host_ed25519_key.pub")
	d.says(0, "ssh-ed25519 AAAA root@web", "show-host-key", "web")
	for _, dir := range []string{"var/empty", "var/lib/nixos-containers/nested/var/empty"} { // which NixOS makes immutable
		dir = d.path("var/lib/nixos-containers/web", dir)
		must(d, os.MkdirAll(dir, 0o755))
		setImmutable(d, dir)
	}
}

func setImmutable(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
		return // no such file system
	}
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|0x10))
}

// TestNixosContainerCreate is about the options of create, and that one that
// fails leaves nothing.
func TestNixosContainerCreate(t *testing.T) {
	d := newDropIn(t)
	s := d.systems()
	one := s.Systems["one"]
	for want, args := range map[string][]string{
		"invalid container name":             {"create", "we.b", "--system-path", one},
		"too long":                           {"create", "twelve-chars", "--system-path", one},
		"no container name":                  {"create"},
		"no action":                          {},
		"unknown action":                     {"make", "web"},
		"need each other":                    {"create", "web", "--host-address", "10.0.0.1", "--system-path", one},
		"exclude each other":                 {"create", "web", "--config", "a", "--config-file", "b"},
		"unknown option":                     {"create", "web", "--no-such-option"},
		"leads to no store path":             {"create", "web", "--system-path", d.work},
		"is not valid":                       {"create", "web", "--system-path", "/nix/store/00000000000000000000000000000000-nixos-system-none"},
		"is not a NixOS system":              {"create", "web", "--system-path", s.Systems["secret"]},
		"hostBridge: interface name":         {"create", "web", "--bridge", "a/b", "--system-path", one},
		"is not an IPv4 address":             {"create", "web", "--host-address", "x", "--local-address", "y", "--system-path", one},
		"forwardPorts[0].hostPort":           {"create", "web", "--port", "tcp:none:80", "--system-path", one},
		"is not one line of text":            {"create", "web", "--port", "tcp:80\nAUTO_START=1", "--system-path", one},
		"the guest cannot have the same add": {"create", "web", "--host-address", "10.0.0.1", "--local-address", "10.0.0.1", "--system-path", one},
	} {
		r := d.nix(args...)
		if r.code != 1 || r.out != "" || !strings.Contains(r.err, want) {
			t.Errorf("want %q: %v", want, r)
		}
	}
	d.missing("web")
	d.says(0, "", "list")

	d.link("br7", "type bridge")
	r := d.says(0, "", "create", "onbr", "--bridge", "br7", "--system-path", one)
	d.has(d.read(d.path("etc/nixos-containers/onbr.conf")), "HOST_BRIDGE=br7\n", "HOST_ADDRESS=\n", "LOCAL_ADDRESS=\n")
	if strings.Contains(r.err, "10.233") {
		t.Errorf("on a bridge it has addresses of no use: %v", r)
	}
	d.says(1, "", "show-ip", "onbr")
	d.says(0, "", "create", "ports", "--port", "tcp:8080:80,udp:53", "--host-address", "192.168.7.1", "--local-address", "192.168.7.2", "--auto-start", "--system-path", one)
	d.says(0, "192.168.7.2", "show-ip", "ports")
	var ports []struct {
		Protocol                string
		HostPort, ContainerPort any
	}
	d.json(&ports, "port", "ports", "--json")
	is(t, "ports", fmt.Sprint(ports), "[{tcp 8080 80} {udp 53 53}]")
	d.says(0, "", "create", "empty", "--host-address", "", "--local-address", "", "--system-path", one)
	d.has(d.read(d.path("etc/nixos-containers/empty.conf")), "HOST_ADDRESS=\nLOCAL_ADDRESS=\n")

	is(t, "a unique name", d.says(0, "web", "create", "web", "--ensure-unique-name", "--system-path", one).err, "host IP is 10.233.1.1, container IP is 10.233.1.2\n")
	is(t, "the next address", d.says(0, "web-0", "create", "web", "--ensure-unique-name", "--system-path", one).err, "host IP is 10.233.2.1, container IP is 10.233.2.2\n")
	must(t, os.MkdirAll(d.path("var/lib/nixos-containers/web-1"), 0o755)) // a root that nobody declares is taken, too
	d.link("br-taken", "type bridge")
	d.host("ip addr add 10.233.3.9/24 dev br-taken")
	is(t, "no address of the host's networks", d.says(0, "web-2", "create", "web", "--ensure-unique-name", "--system-path", one).err, "host IP is 10.233.4.1, container IP is 10.233.4.2\n")
	d.says(0, "empty\nonbr\nports\nweb\nweb-0\nweb-2", "list")

	d.says(0, "", "start", "onbr")
	d.says(0, "", "run", "onbr", "--", "ip", "addr", "add", "10.99.0.5/24", "dev", "eth0") // as a client of DHCP does
	d.says(0, "10.99.0.5", "show-ip", "onbr")
	d.run("start", "--autostart")
	d.says(0, "up", "status", "ports")
	d.says(0, "down", "status", "web")
	d.says(0, "", "destroy", "web-1")
	d.missing("web-1")
}

// TestNixosContainerBuilt has systems built of a flake, of options and of a
// module, and updates guests to others.
func TestNixosContainerBuilt(t *testing.T) {
	d := newDropIn(t)
	d.builds()
	nixos := []string{"--nixos-path", filepath.Join(d.work, "nixpkgs/nixos")}
	from := func(name, want string) {
		t.Helper()
		d.says(0, want, "run", name, "--", "cat", "/etc/from")
	}
	d.writeFlake("first")
	d.says(0, "", "--flake", ".#web", "create", "flake", "--config-file", "/dev/null")
	d.has(d.read(d.path("etc/nixos-containers/flake.conf")), "\nFLAKE="+d.work+"#web\n")
	d.says(0, "", "start", "flake")
	from("flake", "first")
	boot := d.bootID("flake")
	d.writeFlake("second")
	d.has(d.says(0, "", "update", "flake").err, "reloading container...\n")
	from("flake", "second")
	d.has(d.says(0, "", "update", "flake", "--flake", ".#other").err, "reloading container...\n")
	from("flake", "other second")
	is(t, "boot after updates in place", d.bootID("flake"), boot)
	d.write("flake.nix", strings.Replace(d.read(filepath.Join(d.work, "flake.nix")), `modules = [ {`, `modules = [ { systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig = { Type = "oneshot"; ExecStart = "/run/current-system/sw/bin/false"; }; };`, 1))
	d.has(d.says(1, "", "update", "flake").err, "broken.service")
	from("flake", "other second")
	is(t, "boot after an update that was taken back", d.bootID("flake"), boot)
	d.run("rollback", "flake", "--yes")
	from("flake", "second")
	d.says(0, "", "restart", "flake") // follows the profile, which has gone back too
	from("flake", "second")
	d.run("update", "flake", "--yes") // and that is all there is
	from("flake", "second")
	is(t, "generations", d.host("ls "+d.path("nix/var/nix/profiles/per-container/flake")), "system\nsystem-1-link\nsystem-2-link\nsystem-3-link\nsystem-4-link")
	d.says(0, "", "stop", "flake")
	d.host("cd " + d.path("nix/var/nix/profiles/per-container/flake") + "; ln -sfn system-1-link system") // nix-env --rollback
	d.says(0, "", "start", "flake")
	from("flake", "first")

	d.says(0, "", append([]string{"create", "text", "--config", `environment.etc.from.text = "of options";`}, nixos...)...)
	d.says(0, "", "start", "text")
	from("text", "of options")
	d.says(0, "text", "run", "text", "--", "cat", "/etc/hostname")
	d.file("module.nix", `{ lib, ... }: { environment.etc.from.text = lib.mkDefault "of a module"; }`)
	d.says(0, "", append([]string{"update", "text", "--config-file", "module.nix"}, nixos...)...)
	from("text", "of a module")
	d.file("module.nix", `{ lib, ... }: { environment.etc.from.text = lib.mkDefault "of the module"; }`)
	d.says(0, "", append([]string{"update", "text"}, nixos...)...)
	from("text", "of the module")
	d.says(0, "", "run", "text", "--", "sh", "-c", `mkdir -p /etc/nixos; echo '{ environment.etc.from.text = "evil"; }' >/etc/nixos/configuration.nix`)
	r := d.says(0, "", append([]string{"update", "text"}, nixos...)...)
	d.has(r.err, "which the guest cannot change, and not from "+d.path("var/lib/nixos-containers/text/etc/nixos/configuration.nix"))
	from("text", "of the module")

	for want, args := range map[string][]string{
		"neither nixosConfigurations.none": {"create", "bad", "--flake", ".#none"},
		"undefined variable":               append([]string{"create", "bad", "--config", "a = b;"}, nixos...),
		"no-such.nix":                      append([]string{"create", "bad", "--config-file", "no-such.nix"}, nixos...),
	} {
		if r := d.nix(args...); r.code != 1 || !strings.Contains(r.err, want) {
			t.Errorf("want %q: %v", want, r)
		}
		d.missing("bad")
	}
	before := d.read(d.path("etc/nixos-containers/text.nix"))
	d.says(1, "", append([]string{"update", "text", "--config", "a = b;"}, nixos...)...)
	is(t, "module after an update that failed", d.read(d.path("etc/nixos-containers/text.nix")), before)
	from("text", "of the module")
	is(t, "files", d.host("ls -A "+d.path("etc/nixos-containers")), "flake.conf\ntext.conf\ntext.nix")
	d.says(0, "", "destroy", "text")
	d.missing("text")
	d.says(0, "", append([]string{"create", "plain"}, nixos...)...) // of nothing but NixOS
	d.writeFlake("of the first start")
	must(t, os.WriteFile(d.path("etc/nixos-containers/late.conf"), []byte("PRIVATE_NETWORK=1\nFLAKE="+d.work+"#web\n"), 0o644))
	d.says(0, "", "start", "late")
	from("late", "of the first start")
}

// TestNixosContainerFile: what the file of a container says by hand counts at
// its next start.
func TestNixosContainerFile(t *testing.T) {
	d := newDropIn(t)
	s := d.systems()
	d.says(0, "", "create", "web", "--system-path", s.Systems["one"])
	file := d.path("etc/nixos-containers/web.conf")
	write := func(text string) { t.Helper(); must(t, os.WriteFile(file, []byte(text), 0o644)) }
	d.link("br-hand", "type bridge")
	write("PRIVATE_NETWORK=yes\nHOST_BRIDGE=br-hand\nLOCAL_ADDRESS=10.100.0.30/24\nEXTRA_NSPAWN_FLAGS=--bind=" + d.work + ":/mnt/work --capability=CAP_SYS_TIME\n")
	d.says(0, "10.100.0.30", "show-ip", "web")
	d.says(0, "", "start", "web")
	d.says(0, "10.100.0.30/24", "run", "web", "--", "sh", "-c", "ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4")
	d.says(0, "", "run", "web", "--", "sh", "-c", "echo written >/mnt/work/by-guest")
	is(t, "what the guest wrote", d.read(filepath.Join(d.work, "by-guest")), "written\n")
	is(t, "root in the guest is that of the host, as the file has it", d.status("web").UIDBase, 0)

	write("PRIVATE_NETWORK=1\nHOST_ADDRESS=10.5.0.1\nLOCAL_ADDRESS=10.5.0.2\nPRIVATE_USERS=pick\n")
	d.says(0, "", "start", "web") // it runs already
	d.says(0, "10.100.0.30/24", "run", "web", "--", "sh", "-c", "ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4")
	write("HOST_BRIDGE=a/b\n")
	d.has(d.says(1, "", "restart", "web").err, file+":1:1: hostBridge")
	d.says(0, "up", "status", "web")
	write("PRIVATE_NETWORK=1\nHOST_ADDRESS=10.5.0.1\nLOCAL_ADDRESS=10.5.0.2\nPRIVATE_USERS=pick\nAUTO_START=1\n")
	d.says(0, "", "restart", "web")
	d.says(0, "10.5.0.2/32", "run", "web", "--", "sh", "-c", "ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4")
	d.says(0, "0", "run", "web", "--", "stat", "-c", "%u", "/root")
	if d.status("web").UIDBase == 0 {
		t.Error("PRIVATE_USERS=pick has no effect")
	}
	d.has(d.fails(4, "set", "web", "labels.a=b").err, "owned by another declaration")
	d.says(0, "", "stop", "web")
	mounted := d.path("var/lib/nixos-containers/web/mnt/else")
	d.host("mkdir -p " + mounted + "; mount --bind " + d.work + " " + mounted)
	d.has(d.says(1, "", "destroy", "web").err, "something is mounted on "+mounted)
	d.has(d.fails(1, "destroy", "web", "--yes").err, "something is mounted on "+mounted)
	d.host("umount " + mounted)
	d.says(0, "down", "status", "web")
	d.run("destroy", "web", "--yes") // berth's own verb knows all of it
	d.missing("web")
}

// TestNixosContainerDeclarative: what the host's configuration has made is run,
// and never changed.
func TestNixosContainerDeclarative(t *testing.T) {
	d := newDropIn(t)
	s := d.systems()
	conf := d.file("declared.conf", "SYSTEM_PATH="+s.Systems["one"]+"\nPRIVATE_NETWORK=1\nPRIVATE_USERS=no\nINTERFACES=\"\"\nMACVLANS=\"\"\n")
	stored, err := nixStore(t, s, "--add", conf)
	must(t, err)
	stored = stored[strings.LastIndex(strings.TrimSpace(stored), "\n")+1:] // behind warnings
	stored = strings.TrimSpace(stored)
	t.Cleanup(func() { _, _ = nixStore(t, s, "--delete", stored) })
	must(t, os.MkdirAll(d.path("etc/nixos-containers"), 0o755))
	link := d.path("etc/nixos-containers/decl.conf")
	must(t, os.Symlink(stored, link))
	d.says(0, "decl", "list")
	d.says(0, "down", "status", "decl")
	for _, args := range [][]string{{"update", "decl"}, {"update", "decl", "--config", "{ }"}, {"destroy", "decl"}} {
		d.has(d.says(1, "", args...).err, "declarative", "configuration.nix")
	}
	d.says(0, "", "start", "decl")
	d.says(0, "up", "status", "decl")
	d.says(0, s.Systems["one"], "run", "decl", "--", "readlink", "/run/current-system")
	d.says(0, "lo", "run", "decl", "--", "sh", "-c", "ls /sys/class/net")
	d.has(d.fails(4, "destroy", "decl", "--yes").err, "declarative")
	d.says(0, "up", "status", "decl")
	d.says(0, "", "stop", "decl")
	if to, err := os.Readlink(link); err != nil || to != stored {
		t.Errorf("the file is %s, %v", to, err)
	}
	must(t, os.Remove(link)) // it is declared no more
	d.says(1, "gone", "status", "decl")
	d.says(0, "", "destroy", "decl") // and what is left of it goes, if that is said
	d.missing("decl")

	// One of berth's own, as its module for NixOS makes them.
	d.declare("containers: { module: { system: " + s.Systems["one"] + ", privateNetwork: true, hostAddress: 10.6.0.1, localAddress: 10.6.0.2 }, image: { image: " + tiny() + ", autoStart: false } }")
	d.run("apply", "-f", "berth.yaml")
	d.says(0, "module", "list")
	d.says(0, "up", "status", "module")
	d.says(0, s.Systems["one"], "run", "module", "--", "readlink", "/run/current-system")
	d.says(0, "10.6.0.2", "show-ip", "module")
	d.says(0, "", "restart", "module")
	d.says(0, "", "stop", "module")
	d.says(0, "down", "status", "module")
	for _, args := range [][]string{{"update", "module"}, {"destroy", "module"}, {"create", "module", "--system-path", s.Systems["one"]}} {
		d.says(1, "", args...)
	}
	d.has(d.says(1, "", "destroy", "module").err, "declarative", "configuration.nix")
	d.says(1, "gone", "status", "image") // which has no NixOS
	d.says(0, "", "destroy", "image")
	d.state("image", "stopped")
}

// TestAdopt takes over what the program of NixOS has made, in place, and gives
// it back.
func TestAdopt(t *testing.T) {
	for _, c := range []struct {
		name, users string
		base        int // what the owners on disk are moved by
		mapped      bool
	}{{"root of the host", "", 0, false}, {"mapped", "PRIVATE_USERS=pick\n", 0, true}, {"changed owners", "PRIVATE_USERS=pick\n", 0x2a0000, true}} {
		t.Run(c.name, func(t *testing.T) {
			d := newDropIn(t)
			s := d.systems()
			one := s.Systems["one"]
			root, profile := d.path("var/lib/nixos-containers/web"), d.path("nix/var/nix/profiles/per-container/web")
			text := "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nHOST_BRIDGE=\nHOST_PORT=\nAUTO_START=0\n" + c.users
			d.host(fmt.Sprintf(`umask 022; mkdir -p %[1]s/etc/nixos-containers %[2]s/var/lib/data %[2]s/etc/nixos %[3]s/per-user
				echo kept >%[2]s/var/lib/data/file; echo '{ }' >%[2]s/etc/nixos/configuration.nix; : >%[2]s/etc/machine-id
				chown -R %[5]d:%[5]d %[2]s; chown %[6]d:%[7]d %[2]s/var/lib/data/file
				ln -s %[4]s %[3]s/system-3-link; ln -s system-3-link %[3]s/system`, d.root, root, profile, one, c.base, c.base+1000, c.base+100))
			must(t, os.WriteFile(d.path("etc/nixos-containers/web.conf"), []byte(text), 0o644))
			d.says(0, "web", "list")
			d.says(0, "down", "status", "web")
			d.has(d.fails(3, "status", "web").err, "no such container")

			r := d.run("adopt", "web", "--yes")
			d.has(r.err, "web: adopted", "NIX_IN_GUEST=daemon")
			is(t, "a note on root", strings.Contains(r.err, "root in the guest is root on the host"), !c.mapped)
			is(t, "owner", d.status("web").Owner, "file:"+d.path("etc/nixos-containers/web.conf"))
			d.run("adopt", "--all", "--yes") // what is adopted already stays so
			d.run("start", "web")
			d.says(0, "up", "status", "web")
			is(t, "system", d.in("web", "readlink /run/current-system"), one)
			is(t, "address", d.in("web", "ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4"), "10.233.7.2/32")
			is(t, "data", d.in("web", "cat /var/lib/data/file; stat -c %u:%g /var/lib/data/file /var/lib/data"), "kept\n1000:100\n0:0")
			d.in("web", "echo more >>/var/lib/data/file; echo new >/var/lib/data/new; chown 7:8 /var/lib/data/new")
			is(t, "mapped", d.status("web").UIDBase != 0, c.mapped)

			d.run("adopt", "--undo", "web", "--yes")
			d.fails(3, "status", "web")
			is(t, "file", d.read(d.path("etc/nixos-containers/web.conf")), text)
			is(t, "data on disk", d.read(root+"/var/lib/data/file"), "kept\nmore\n")
			is(t, "owners on disk", d.host(fmt.Sprintf("cd %s/var/lib/data; stat -c %%u:%%g . file new | tr '\\n' ' '", root)),
				fmt.Sprintf("%d:%d %d:%d %d:%d", c.base, c.base, c.base+1000, c.base+100, c.base+7, c.base+8))
			to, err := os.Readlink(profile + "/system")
			must(t, err)
			is(t, "profile", to, "system-3-link")
			if _, err := os.Lstat(d.path("var/lib/berth/containers/web")); err == nil {
				t.Error("berth has kept something")
			}
			d.fails(3, "adopt", "--undo", "none", "--yes")
			d.run("adopt", "web", "--yes")
			d.run("start", "web")
			is(t, "data after all", d.in("web", "cat /var/lib/data/file"), "kept\nmore")
		})
	}
}

// TestNixosContainerUser: what anybody may know of containers needs no root.
func TestNixosContainerUser(t *testing.T) {
	d := newDropIn(t)
	must(t, errors.Join(os.Chmod(os.Getenv(dirVariable), 0o711), os.Chmod(d.root, 0o711)))
	user := *d
	user.program = d.file("as-user", fmt.Sprintf("#!/bin/sh\nexec %s setpriv --reuid=65534 --regid=65534 --clear-groups %s \"$@\"\n", strings.Join(d.enter, " "), filepath.Join(d.work, "bin/nixos-container")))
	must(t, os.Chmod(user.program, 0o755))
	d.says(0, "", "create", "web", "--system-path", d.systems().Systems["one"])
	d.says(0, "", "start", "web")
	user.says(0, "web", "list")
	user.says(0, "10.233.1.2", "show-ip", "web")
	status := func(want string) {
		t.Helper()
		if underSystemd() { // which tells everybody
			user.says(0, want, "status", "web")
		} else {
			d.has(user.says(1, "", "status", "web").err, "needs root")
		}
	}
	status("up")
	for _, verb := range []string{"start", "stop", "run", "show-host-key", "destroy"} {
		d.has(user.says(1, "", verb, "web").err, "needs root")
	}
	d.has(user.says(1, "", "status", "other").err, "needs root") // berth may have it, without a file
	d.says(0, "up", "status", "web")
	d.says(0, "", "stop", "web")
	status("down")
}
