//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

// TestNixInGuestOwnUndone has updates fail: a system without a Nix, and one that
// is not healthy.
func TestNixInGuestOwnUndone(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	g := &generational{b, b.systems()}
	key := g.cache("private")
	g.run("nix", "pull", "file://"+g.work+"/cache", g.s.Systems["private"], "--trusted-public-key", key) // what it is told is not of the host's Nix
	g.run("create", "web", "--system-path", g.s.Systems["private"], "privateNetwork=true", "networks=[none]", "nixInGuest=own", "--start")
	g.verified("at the beginning", "--check-contents")
	g.link("two")
	g.has(g.fails(1, "set", "web", "system="+g.s.Systems["two"]).err, "nixInGuest: nixos-system-mini-2 (", "has no Nix: sw/bin/nix-store is missing", "hint: ")
	g.has(g.fails(5, "set", "web", "system="+g.s.Systems["privateFailing"]).err, "it has generation 1 again")
	is(g, "system, and that of the profile", g.in("web", "readlink -f /run/current-system /nix/var/nix/profiles/system"), g.s.Systems["private"]+"\n"+g.s.Systems["private"])
	g.verified("after an update that was undone")
	g.run("set", "web", "nixInGuest=none")
	is(g, "without", g.in("web", "touch /nix/store/x 2>/dev/null || echo read-only; ls -A /nix/store | wc -l"), fmt.Sprintf("read-only\n%d", len(closureOf(g, g.s, "private"))))
	g.run("set", "web", "nixInGuest=own")
	g.verified("with it again")
	g.run("destroy", "web")
	g.run("nix", "gc")
}

// verified has the guest's Nix look whether all is there that it knows, and with
// --check-contents unchanged.
func (g *generational) verified(when string, flags ...string) {
	g.Helper()
	is(g, "verified "+when, g.in("web", "nix-store --verify "+strings.Join(flags, " ")+" 2>&1 | grep -v -e '^reading the Nix store' -e '^checking' || :"), "")
}

// buildInside is a derivation that a guest builds with its own Nix: text in a
// file, by a shell of its closure.
const buildInside = `derivation {
  name = "made-inside";
  system = builtins.currentSystem;
  base = builtins.storePath "%s";
  builder = "%[1]s/bin/bash";
  args = [ "-euc" "PATH=$base/bin; [ -e %[2]s ] && where=plain || where=sandbox; echo $where $(id -u) > $out; :" ];
}`

// systemInside is a system that a guest makes of the one it has: all the same
// but for its version, and the paths in its scripts.
const systemInside = `derivation {
  name = "nixos-system-mini-inside";
  system = builtins.currentSystem;
  old = builtins.storePath "%s";
  base = builtins.storePath "%s";
  builder = "%[2]s/bin/bash";
  args = [ "-euc" "PATH=$base/bin; cp -a $old $out; chmod -R u+w $out; echo inside > $out/nixos-version; sed -i s,$old,$out,g $out/init $out/activate $out/bin/switch-to-configuration; :" ];
}`

// TestNixInGuestOwn has guests with a Nix of their own build, switch themselves,
// start anew, collect garbage, and be updated by the host.
func TestNixInGuestOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		users     string
		ephemeral bool
	}{{"pick", false}, {"pick", true}, {"no", false}, {"identity", true}} {
		t.Run(fmt.Sprintf("users %s, ephemeral %v", c.users, c.ephemeral), func(t *testing.T) {
			t.Parallel()
			g := newGenerational(t, "private", "nixInGuest=own", "privateUsers="+c.users, fmt.Sprintf("ephemeral=%v", c.ephemeral))
			g.builds()
			g.seesNoMore()
			if !c.ephemeral {
				g.switchesItself()
			}
			g.updatedByHost(c.ephemeral)
		})
	}
}

// seesNoMore has root in the guest look for what else the host's store has.
func (g *generational) seesNoMore() {
	g.Helper()
	secret := g.s.Systems["secret"]
	for _, try := range []string{
		"cat " + secret, "cat /proc/1/root" + secret, "ls /nix/store/../shown", "umount /nix/store; umount /nix/store; cat " + secret,
		"mkdir -p /o && mount -t overlay -o lowerdir=/nix/store:/etc,redirect_dir=follow o /o && cat /o/" + filepath.Base(secret),
	} {
		if r := g.try("exec", "web", "--", "unshare", "-m", "/bin/sh", "-c", try); r.code == 0 || r.code == 125 {
			g.Errorf("root in the guest could: %v", r)
		}
	}
}

// builds has the guest build something, of which the host gets nothing.
func (g *generational) builds() {
	g.Helper()
	is(g, "closure as its Nix knows it", g.in("web", "nix-store --query --requisites /run/current-system | sed s,.*/,, | sort"), strings.Join(closureOf(g, g.s, "private"), "\n"))
	g.verified("at the beginning")
	is(g, "profile", g.in("web", "readlink -f /nix/var/nix/profiles/system"), g.s.Systems["private"])
	g.in("web", "cat >/var/lib/made.nix <<'EOF'\n"+fmt.Sprintf(buildInside, g.s.Systems["base"], "/run/host")+"\nEOF")
	made := g.in("web", "nix-build /var/lib/made.nix -o /root/made 2>/dev/null")
	is(g, "built where, as whom", g.in("web", "cat "+made), "sandbox 1000")
	is(g, "other owners than root", g.in("web", "find "+made+" /nix/store -maxdepth 0 ! -user 0; stat -c %a "+made), "444")
	if _, err := os.Lstat(made); err == nil {
		g.Errorf("the host has %s", made)
	}
	g.in("web", "mkdir -p /home/alice; rm /root/made; nix-store --delete "+made+" 2>&1; [ ! -e "+made+" ]")
	is(g, "by the daemon", g.out("exec", "--user", "alice", "web", "--", "nix-build", "/var/lib/made.nix", "--no-out-link"), made)
}

// switchesItself has the guest build a system and switch to it, which holds until
// the host gives it another one.
func (g *generational) switchesItself() {
	g.Helper()
	g.in("web", "cat >/var/lib/system.nix <<'EOF'\n"+fmt.Sprintf(systemInside, g.s.Systems["private"], g.s.Systems["base"])+"\nEOF")
	own := g.in("web", "nix-build /var/lib/system.nix --no-out-link 2>/dev/null")
	g.in("web", "nix-env -p /nix/var/nix/profiles/system --set "+own+" && "+own+"/bin/switch-to-configuration switch")
	check := func(when string) {
		g.Helper()
		is(g, "system "+when, g.in("web", "readlink /run/current-system; cat /run/current-system/nixos-version"), own+"\ninside")
		g.has(g.out("status", "web"), "switched itself to  "+own)
	}
	check("after its own switch")
	g.run("restart", "web")
	check("after a restart")
	is(g, "state of the guest", g.in("web", "systemctl is-system-running --wait"), "running")
	g.has(g.run("set", "web", "labels.a=b").err, "the guest has switched itself to nixos-system-mini-inside (")
}

// updatedByHost gives the guest another system in place, and lets both sides
// collect garbage.
func (g *generational) updatedByHost(ephemeral bool) {
	g.Helper()
	kept := g.in("web", "echo kept >/root/kept; nix-store --add /root/kept | tee /root/path; ln -s $(cat /root/path) /nix/var/nix/gcroots/kept")
	boot := g.guest().boot
	g.link("private2")
	g.run("update", "web")
	now := g.guest()
	is(g, "system and boot", now.system+" "+now.boot, "private2 "+boot)
	healthy := func(when string) {
		g.Helper()
		is(g, "closure "+when, g.in("web", "nix-store --query --requisites /run/current-system | sed s,.*/,, | sort"), strings.Join(closureOf(g, g.s, "private2"), "\n"))
		g.verified(when)
		is(g, "what the guest kept "+when, g.in("web", "cat "+kept), "kept")
	}
	healthy("in place")
	made := g.in("web", "nix-build /var/lib/made.nix --no-out-link 2>/dev/null; nix-collect-garbage >/dev/null 2>&1; [ -z \"$(ls /nix/store | grep made-inside)\" ]")
	is(g, "by the daemon that ran before", g.out("exec", "--user", "alice", "web", "--", "nix-build", "/var/lib/made.nix", "--no-out-link"), made)
	if ephemeral {
		g.run("restart", "web")
		is(g, "the guest's own", g.in("web", "ls -A "+kept+" 2>/dev/null || echo gone"), "gone")
		return
	}
	g.run("restart", "web")
	is(g, "system", g.guest().system, "private2")
	healthy("after a restart")
	is(g, "given before", g.in("web", "cat "+g.s.Systems["private"]+"/nixos-version"), "9")

	g.in("web", "nix-collect-garbage -d >/dev/null 2>&1")
	is(g, "given before", g.in("web", "ls "+g.s.Systems["private"]+" 2>/dev/null || echo collected"), "collected")
	healthy("after a collection")
	g.run("restart", "web")
	healthy("after a collection and a restart")
	g.has(g.read(filepath.Join(g.root, "var/lib/berth/containers/web/changes/store/given.json")), filepath.Base(g.s.Systems["private2"]))

	g.link("private")
	g.run("update", "web")
	g.verified("with what comes back", "--check-contents")
	g.run("restart", "web")
	is(g, "system", g.guest().system, "private")
}

// TestNixInGuestDaemon has guests use the host's Nix daemon: one that listens
// where only this test's thread, and what it starts, finds it; or where units keep
// guests, on the nested machine.
func TestNixInGuestDaemon(t *testing.T) {
	t.Parallel()
	sockets := filepath.Dir(container.DaemonSocket)
	must(t, os.MkdirAll(sockets, 0o755))
	if !underSystemd() {
		runtime.LockOSThread()
		must(t, unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS))
		must(t, errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""), unix.Mount("test", sockets, "tmpfs", 0, "mode=0755")))
	}
	b := newBerth(t)
	s := b.systems()
	create := []string{"create", "web", "--system-path", s.Systems["private"], "nixInGuest=daemon", "privateNetwork=true", "networks=[none]", "--start"}
	b.has(b.fails(1, create...).err, "nixInGuest: the host's Nix daemon does not listen", "hint: ")
	b.state("web", "stopped")
	b.run("destroy", "web")

	b.nixDaemon(s.Nix)
	b.declare("containers: { web: { system: " + s.Systems["private"] + ", nixInGuest: daemon } }")
	b.has(b.out("plan", "-f", "berth.yaml"), "note: nixInGuest: to the host's Nix daemon the guest's users are numbers without a name")
	b.run(create...)
	is(t, "state of the guest", b.in("web", "systemctl is-system-running --wait"), "running")
	b.in("web", "cat >/var/lib/made.nix <<'EOF'\n"+fmt.Sprintf(strings.ReplaceAll(buildInside, "made-inside", fmt.Sprintf("made-by-daemon-%d", os.Getpid())), s.Systems["base"], "/nothing")+"\nEOF")
	made := b.in("web", "nix-build /var/lib/made.nix --no-out-link 2>/dev/null")
	is(t, "what the host built", b.in("web", "cat "+made), b.read(made)[:len(b.read(made))-1])
	b.in("web", "ln -s "+made+" /nix/var/nix/gcroots/mine")
	if out, err := nixStore(t, s, "--delete", made); err == nil || !strings.Contains(out, "alive") {
		t.Errorf("the host collected what the guest needs: %v\n%s", err, out)
	}
	if r := b.try("exec", "web", "--", "/bin/sh", "-c", "rm "+container.DaemonSocket+" || nix-store --option sandbox false --load-db </dev/null"); r.code == 0 {
		t.Errorf("root in the guest could: %v", r)
	}
	b.run("restart", "web")
	is(t, "after a restart", b.in("web", "readlink /nix/var/nix/gcroots/mine"), made)
	b.run("destroy", "web")
	if out, err := nixStore(t, s, "--delete", made); err != nil {
		t.Errorf("what the guest needed is kept after its end: %v\n%s", err, out)
	}
}

// nixDaemon starts the host's Nix daemon for the test.
func (b *berth) nixDaemon(dir string) {
	b.Helper()
	conf := filepath.Join(b.work, "nix")
	must(b, os.MkdirAll(conf, 0o755))
	must(b, os.WriteFile(filepath.Join(conf, "nix.conf"), []byte("build-users-group =\nsandbox = false\nsubstituters =\nbuild-hook = "+filepath.Join(filepath.Dir(dir), "libexec/nix/build-remote")+"\n"), 0o644))
	program := filepath.Join(dir, "nix-daemon")
	if found, err := exec.LookPath("nix-daemon"); err == nil {
		program = found
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "NIX_CONF_DIR="+conf, "NIX_REMOTE=")
	must(b, cmd.Start())
	b.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	b.until("the daemon listens", func() bool {
		_, err := os.Stat(container.DaemonSocket)
		return err == nil
	})
}
