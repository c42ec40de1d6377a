//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-containers/berth/test/mini-nixos"
)

// TestOwnStore runs an image as it is made for machinectl pull-tar: a NixOS
// with a store, a database and a Nix of its own, whose /sbin/init leads to the
// system that it boots. It rebuilds itself inside, as nixos-rebuild does it, as
// a root of its own too.
func TestOwnStore(t *testing.T) {
	for _, users := range []string{"pick", "no"} {
		t.Run("users "+users, func(t *testing.T) { ownStore(t, users) })
	}
}

func ownStore(t *testing.T, users string) {
	l := newLan(t)
	s := l.systems()
	shared := filepath.Join(l.work, "shared")
	l.file("shared/from-host", "hello\n")
	image := l.nixosImage(s)
	declare := func(more string) {
		l.declare(fmt.Sprintf("containers: { nixos: { image: 'tar:%s', privateUsers: %s, bindMounts: { /srv/shared: { hostPath: %s, isReadOnly: false } }%s } }", image, users, shared, more))
	}
	declare("")
	l.ownImages().run("up")
	is(t, "state", l.in("nixos", "systemctl is-system-running --wait"), "running")
	l.has(l.out("status", "nixos"), "running")
	first := l.in("nixos", "readlink /run/current-system")
	is(t, "valid paths", l.in("nixos", "/etc/nixos/rebuild check"), "good")
	boot := l.in("nixos", "cat /proc/sys/kernel/random/boot_id")

	// Its configuration comes from the host, and the system from the guest.
	l.file("configuration.nix", `{ pkgs, ... }: {
  networking.hostName = "nixos";
  environment.etc."page/index.html".text = "rebuilt inside\n";
  systemd.services.web = { wantedBy = [ "multi-user.target" ]; serviceConfig.ExecStart = "${pkgs.busybox}/bin/busybox httpd -f -p 9000 -h /etc/page"; };
}`)
	l.run("cp", "configuration.nix", "nixos:/etc/nixos/configuration.nix")
	l.has(l.run("exec", "nixos", "--", "/etc/nixos/rebuild", "switch").err, "activating the configuration...", "web.service")
	second := l.in("nixos", "readlink /run/current-system")
	if second == first {
		t.Error("the system is the same")
	}
	l.awaitPage("127.0.0.1", 9000, "rebuilt inside")
	is(t, "boot", l.in("nixos", "cat /proc/sys/kernel/random/boot_id"), boot)
	if _, err := os.Lstat(second); err == nil {
		t.Error("the host's store has what the guest has built")
	}

	l.run("restart", "nixos")
	is(t, "system after a restart", l.in("nixos", "systemctl is-system-running --wait; readlink /run/booted-system /nix/var/nix/profiles/system-2-link"), "running\n"+second+"\n"+second)
	l.awaitPage("127.0.0.1", 9000, "rebuilt inside")
	l.in("nixos", "cp /srv/shared/from-host /srv/shared/from-guest; /etc/nixos/rebuild collect")
	is(t, "what both share", l.read(filepath.Join(shared, "from-guest")), "hello\n")
	is(t, "valid paths", l.in("nixos", "/etc/nixos/rebuild check; readlink /run/current-system"), "good\n"+second)
	declare(", ephemeral: true")
	l.run("up", "-y")
	l.in("nixos", "touch /root/forgotten")
	l.run("restart", "nixos")
	l.in("nixos", "test ! -e /root/forgotten")
}

// nixosImage makes the image, and returns its file.
func (l *lan) nixosImage(s mininixos.Set) string {
	l.Helper()
	tree := filepath.Join(l.work, "tree")
	one := s.Systems["one"]
	for _, dir := range []string{"nix/var/nix/profiles", "sbin", "etc/nixos", "root", "srv", "tmp"} {
		must(l, os.MkdirAll(filepath.Join(tree, dir), 0o755))
	}
	must(l, os.Symlink(one+"/init", filepath.Join(tree, "sbin/init")))
	must(l, os.Symlink("system-1-link", filepath.Join(tree, "nix/var/nix/profiles/system")))
	must(l, os.Symlink(one, filepath.Join(tree, "nix/var/nix/profiles/system-1-link")))
	must(l, s.Nixpkgs(filepath.Join(tree, "etc/nixos/nixpkgs")))
	l.file("tree/etc/nixos/rebuild", `#!/bin/sh
set -eu
export PATH=`+s.Nix+`:$PATH NIX_CONF_DIR=/etc/nixos HOME=/root
case $1 in
check) nix-store --verify --check-contents 2>/dev/null && echo good; exit ;;
collect) nix-collect-garbage >/dev/null 2>&1; exit ;;
esac
system=$(nix-build --no-out-link -I nixos-config=/etc/nixos/configuration.nix /etc/nixos/nixpkgs/nixos -A system)
nix-env -p /nix/var/nix/profiles/system --set $system
ln -sfn $system/init /sbin/init
exec $system/bin/switch-to-configuration "$1"
`)
	must(l, os.Chmod(filepath.Join(tree, "etc/nixos/rebuild"), 0o755))
	l.file("tree/etc/nixos/nix.conf", "build-users-group =\nbuild-hook = "+filepath.Dir(s.Nix)+"/libexec/nix/build-remote\nsubstituters =\nsandbox = false\n")
	paths := strings.Fields(l.nix(s, "nix-store", "--query", "--requisites", one, filepath.Dir(s.Nix)))
	known := l.nix(s, "nix-store", append([]string{"--dump-db"}, paths...)...)
	l.file("registration", known+"\n")
	l.host("cd " + l.work + "; ln -s " + filepath.Dir(s.Nix) + " tree/nix/var/nix/profiles/nix; NIX_REMOTE=" + tree + " PATH=$PATH:" + s.Nix + " nix-store --load-db <registration 2>&1")
	image := filepath.Join(l.work, "nixos.tar")
	args := []string{"tar", "--create", "--file", image, "--numeric-owner", "-C", tree, ".", "-C", "/"}
	for _, p := range paths {
		args = append(args, strings.TrimPrefix(p, "/"))
	}
	must(l, command(l.Context(), args...))
	must(l, command(l.Context(), "chmod", "-R", "u+w", tree))
	return image
}
