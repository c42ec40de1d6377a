//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page is what the host gets from a web server, or what keeps it from that.
func (l *lan) page(address string, port int) string {
	l.Helper()
	return l.host(fmt.Sprintf(`timeout 5 bash -c 'exec 3<>/dev/tcp/%s/%d; printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3' 2>&1 | tail -1`, address, port))
}

// awaitPage waits for a web server to have a page.
func (l *lan) awaitPage(address string, port int, want string) {
	l.Helper()
	l.until(fmt.Sprintf("%s port %d answers %q", address, port, want), func() bool { return l.page(address, port) == want })
}

// TestBook serves a directory of the host on the host's own network, declared in
// Nix, looked after with nixos-container, and then on a network of its own.
func TestBook(t *testing.T) {
	d := newDropIn(t)
	d.builds()
	book := filepath.Join(d.work, "book")
	d.file("book/index.html", "first edition\n")
	declare := func(network string) {
		d.write("berth.nix", `{
  containers.book = {
    autoStart = true;
    ephemeral = true;
    `+network+`
    bindMounts."/var/www/book" = { hostPath = "`+book+`"; isReadOnly = true; };
    nixpkgs = ./nixpkgs;
    config = { lib, pkgs, ... }: {
      networking.useDHCP = lib.mkDefault true;
      systemd.services.httpd = { wantedBy = [ "multi-user.target" ]; serviceConfig.ExecStart = "${pkgs.busybox}/bin/busybox httpd -f -p 80 -h /var/www/book"; };
      system.stateVersion = "25.05";
    };
  };
}`)
	}
	declare(`privateNetwork = false; privateUsers = "no";`)
	d.run("up")
	d.says(0, "book", "list")
	d.says(0, "up", "status", "book")
	d.has(d.nix("run", "book", "--", "systemctl", "status", "httpd").out, "httpd.service", "Active: active (running)")
	d.has(d.nix("run", "book", "--", "ls", "-l", "/var/www/book").out, "index.html")
	d.awaitPage("127.0.0.1", 80, "first edition")

	d.file("book/index.html", "second edition\n")
	d.file("book/more.html", "more\n")
	is(t, "an edit on the host", d.page("127.0.0.1", 80), "second edition")
	d.says(0, "more", "run", "book", "--", "cat", "/var/www/book/more.html")
	must(t, os.Remove(filepath.Join(book, "more.html")))
	d.says(1, "", "run", "book", "--", "cat", "/var/www/book/more.html")
	d.has(d.nix("run", "book", "--", "touch", "/var/www/book/new").err, "Read-only file system")
	d.says(0, "", "run", "book", "--", "touch", "/var/lib/new")

	d.says(0, "", "stop", "book")
	d.says(0, "down", "status", "book")
	d.run("start", "--autostart") // as the machine does it
	d.says(0, "up", "status", "book")
	d.says(1, "", "run", "book", "--", "test", "-e", "/var/lib/new")
	d.awaitPage("127.0.0.1", 80, "second edition")
	if left, _ := filepath.Glob(d.path("var/lib/nixos-containers/*")); len(left) > 0 {
		t.Errorf("an ephemeral container has left %q", left)
	}

	declare(`privateNetwork = true; forwardPorts = [ { hostPort = 80; } ];`)
	d.has(d.run("up", "-y").err, "effect restart")
	d.awaitPage("127.0.0.1", 80, "second edition")
	d.awaitPage("::1", 80, "second edition")
	for _, try := range []string{"touch /var/www/book/new", "mount -o remount,bind,rw /var/www/book", "umount /var/www/book"} {
		if r := d.try("exec", "book", "--", "sh", "-c", try); r.code == 0 {
			t.Errorf("root in the guest could: %v", r)
		}
	}
	d.run("destroy", "-y", "book")
	is(t, "the book", strings.Join(entries(t, book), " "), "index.html")
}

// TestUnprivileged runs a web server with users of its own, fewer capabilities
// and a directory of the host for its logs, as a host's configuration writes it
// down: -U has none of the prices that it has elsewhere.
func TestUnprivileged(t *testing.T) {
	d := newDropIn(t)
	s := d.builds()
	d.write("wasabi.nix", `{ pkgs, ... }: {
  networking.hostName = "wasabi";
  environment.etc."www/index.html".text = "it works\n";
  environment.etc."logs.conf".text = "d /var/log/httpd 0700 alice users -\n";
  systemd.services.httpd = { wantedBy = [ "multi-user.target" ]; serviceConfig.ExecStartPre = "/run/current-system/sw/bin/systemd-tmpfiles --create /etc/logs.conf"; serviceConfig.ExecStart = "${pkgs.bash}/bin/bash -c 'echo started >>/var/log/httpd/log; exec ${pkgs.busybox}/bin/busybox httpd -f -p 80 -h /etc/www'"; };
}`)
	d.write("system.nix", "(import ./nixpkgs/nixos { configuration = ./wasabi.nix; }).system")
	system := d.nixOutput(s, d.evaluated(s, "system.nix"))
	data := filepath.Join(d.work, "data")
	must(t, os.Mkdir(data, 0o755))
	must(t, os.MkdirAll(d.path("etc/nixos-containers"), 0o755))
	must(t, os.WriteFile(d.path("etc/nixos-containers/wasabi.conf"), []byte("SYSTEM_PATH="+system+`
PRIVATE_NETWORK=1
HOST_ADDRESS=192.168.100.2
LOCAL_ADDRESS=192.168.100.11
HOST_PORT=tcp:2222:22,tcp:8080:80
AUTO_START=1
EXTRA_NSPAWN_FLAGS="-U --ephemeral --drop-capability=CAP_NET_RAW,CAP_SYS_CHROOT --bind=`+data+`:/var/log/httpd"
`), 0o644))
	d.says(0, "", "start", "wasabi")
	d.awaitPage("192.168.100.11", 80, "it works") // a low port
	is(t, "forwarded", d.page("127.0.0.1", 8080)+" "+d.page("::1", 8080), "it works it works")
	if d.status("wasabi").UIDBase == 0 {
		t.Error("-U has no effect")
	}
	own := *d.berth
	own.binary = d.program
	r := own.feed(strings.NewReader("id -u; busybox hostname; systemctl is-active httpd\n"), "root-login", "wasabi")
	is(t, "root-login", r.out, "0\nwasabi\nactive\n")
	is(t, "owner of the logs in the guest", d.in("wasabi", "stat -c '%U %a' /var/log/httpd"), "alice 700")
	is(t, "owner of the logs on the host", d.host("stat -c '%u %a' "+data), "1000 700")
	d.in("wasabi", "setpriv --reuid=1000 --regid=100 --clear-groups sh -c 'echo mine >/var/log/httpd/alice'")
	is(t, "owner of what alice wrote", d.host("stat -c '%u' "+data+"/alice"), "1000")
	const netRaw, sysChroot, chown = 13, 18, 0
	for bit, want := range map[int]string{netRaw: "0", sysChroot: "0", chown: "1"} {
		is(t, fmt.Sprintf("capability %d of the guest", bit), d.in("wasabi", fmt.Sprintf("echo $(( (0x$(sed -n 's/^CapBnd:\\s*//p' /proc/1/status) >> %d) & 1 ))", bit)), want)
	}
	d.says(0, "", "run", "wasabi", "--", "touch", "/root/forgotten")
	d.says(0, "", "restart", "wasabi")
	d.says(1, "", "run", "wasabi", "--", "test", "-e", "/root/forgotten")
	d.until("both starts are in the log", func() bool { return d.read(filepath.Join(data, "log")) == "started\nstarted\n" })
	d.says(0, "", "stop", "wasabi")
	d.says(0, "", "destroy", "wasabi")
	is(t, "what a destroy leaves", strings.Join(entries(t, data), " "), "alice log")
}

// TestWorkshop makes two containers of one flake on a bridge of the host,
// updates one, and brings it back from a backup.
func TestWorkshop(t *testing.T) {
	d := newDropIn(t)
	d.builds()
	d.write("common.nix", `{ hostname, version }: { networking.hostName = hostname; environment.etc.version.text = version; }`)
	flake := func(version string) {
		d.write("flake.nix", `{
  inputs.nixpkgs.url = "path:`+d.work+`/nixpkgs";
  outputs = { self, nixpkgs }:
    let make = hostname: nixpkgs.lib.nixosSystem { modules = [ (import ./common.nix { inherit hostname; version = "`+version+`"; }) ]; };
    in { nixosConfigurations = { one = make "one"; two = make "two"; }; };
}`)
	}
	flake("1")
	d.link("br-shop", "type bridge")
	d.host("ip addr add 10.100.0.1/24 dev br-shop")
	for name, address := range map[string]string{"one": "10.100.0.10", "two": "10.100.0.20"} {
		d.says(0, "", "create", name, "--flake", ".#"+name, "--config-file", "/dev/null")
		must(t, os.MkdirAll(d.path("etc/nixos-containers", name), 0o755)) // which some make
		must(t, os.WriteFile(d.path("etc/nixos-containers", name+".conf"), []byte("PRIVATE_NETWORK=yes\nHOST_BRIDGE=br-shop\nLOCAL_ADDRESS="+address+"/24\nFLAKE="+d.work+"#"+name+"\n"), 0o644))
		d.says(0, "", "start", name)
		d.says(0, name, "run", name, "--", "busybox", "hostname")
		d.has(d.nix("run", name, "--", "ip", "addr", "show", "eth0").out, address+"/24")
	}
	d.says(0, "one\ntwo", "list")
	for name, other := range map[string]string{"one": "10.100.0.20", "two": "10.100.0.10"} {
		for _, to := range []string{other, "10.100.0.1"} {
			d.has(d.nix("run", name, "--", "busybox", "ping", "-c", "1", "-W", "2", to).out, " 0% packet loss")
		}
	}
	d.has(d.host("timeout 5 bash -c ': </dev/tcp/10.100.0.20/9' 2>&1 || true"), "Connection refused") // from the host
	r := func() result {
		own := *d.berth
		own.binary = d.program
		return own.feed(strings.NewReader("busybox hostname; exit\n"), "root-login", "two")
	}()
	is(t, "root-login", r.out, "two\n")

	flake("2")
	d.says(0, "", "update", "one", "--flake", ".#one")
	d.says(0, "2", "run", "one", "--", "cat", "/etc/version")
	d.says(0, "1", "run", "two", "--", "cat", "/etc/version")
	d.says(0, "", "restart", "one")
	d.says(0, "2", "run", "one", "--", "cat", "/etc/version")

	d.says(0, "", "run", "one", "--", "sh", "-c", "echo data >/root/data; chown 1000:100 /root/data")
	is(t, "a file of the guest on the host", d.read(d.path("var/lib/nixos-containers/one/root/data")), "data\n")
	backup := filepath.Join(d.work, "backup.tar.gz")
	d.says(0, "", "stop", "one")
	d.host("tar czf " + backup + " -C " + d.root + " var/lib/nixos-containers/one/")
	d.says(0, "", "destroy", "one")
	d.says(1, "gone", "status", "one")
	d.host("tar xzf " + backup + " -C " + d.root)
	d.says(0, "", "start", "one")
	d.says(0, "2 data 1000 10.100.0.10/24", "run", "one", "--", "sh", "-c", "echo $(cat /etc/version; echo; cat /root/data; stat -c %u /root/data; ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4)")
	d.has(d.nix("run", "two", "--", "busybox", "ping", "-c", "1", "-W", "2", "10.100.0.10").out, " 0% packet loss") // it has the hardware address of before
	for _, name := range []string{"one", "two"} {
		d.says(0, "", "destroy", name)
	}
	must(t, os.Remove(d.path("etc/nixos-containers/one")))
	must(t, os.Remove(d.path("etc/nixos-containers/two")))
	d.missing("one")
}

// TestBackup brings a container of berth's own back, with all that its guest
// had changed, as the how-to says.
func TestBackup(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	b.run("create", "web", "--system-path", s.Systems["one"], "privateNetwork=true", "networks=[none]", "labels.tier=front", "--start")
	b.run("create", "deb", "--image", debian(), "privateNetwork=true", "networks=[none]", "--start")
	for _, name := range []string{"web", "deb"} {
		b.in(name, "echo data >/root/data; chown 1000:100 /root/data; rm -rf /var/tmp; mkdir /var/tmp; echo new >/var/tmp/new")
	}
	b.run("stop", "--all")
	backup := filepath.Join(b.work, "backup.tar.gz")
	archive := func(how string, args ...string) {
		must(t, command(t.Context(), append([]string{"tar", how, backup, "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sparse", "-C", b.root}, args...)...))
	}
	archive("-czf", "var/lib/berth/containers/web", "var/lib/berth/containers/deb")
	b.run("destroy", "--yes", "web", "deb")
	archive("-xzf")
	b.run("start", "web", "deb")
	for _, name := range []string{"web", "deb"} {
		is(t, "data of "+name, b.in(name, "cat /root/data; stat -c %u /root/data; ls -A /var/tmp | grep -v systemd"), "data\n1000\nnew")
	}
	is(t, "label", b.status("web").Labels["tier"], "front")
	is(t, "system", b.in("web", "readlink /run/current-system"), s.Systems["one"])
	b.run("update", "web")
}
