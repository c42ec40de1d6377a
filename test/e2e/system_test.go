//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/test/mini-nixos"
)

// systemPrerequisites says what is missing for making NixOS systems, unless
// they are in the cache.
func systemPrerequisites() error {
	file, err := mininixos.Cached(filepath.Dir(cachedImage()))
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	var errs []error
	for _, tool := range []string{"nix-build", "patchelf", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			errs = append(errs, fmt.Errorf("the tests need %s, or cached systems at %s: %w", tool, file, err))
		}
	}
	return errors.Join(errs...)
}

// installed puts the systems into the machine's store when they are first
// needed.
var installed = sync.OnceValues(func() (mininixos.Set, error) {
	return mininixos.Install(context.Background(), filepath.Dir(cachedImage()))
})

// systems returns them, and has the commands of b find a Nix.
func (b *berth) systems() mininixos.Set {
	b.Helper()
	s, err := installed()
	must(b, err)
	b.env = append(b.env, "PATH="+os.Getenv("PATH")+":"+s.Nix)
	return s
}

// nixStore runs nix-store on this machine.
func nixStore(t testing.TB, s mininixos.Set, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.Nix, "nix-store"), args...)
	if found, err := exec.LookPath("nix-store"); err == nil {
		cmd.Path = found // the one that berth uses
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// closureOf are the names in /nix/store of what a system consists of, sorted.
func closureOf(t testing.TB, s mininixos.Set, name string) []string {
	t.Helper()
	out, err := nixStore(t, s, "--query", "--requisites", s.Systems[name])
	must(t, err)
	var names []string
	for p := range strings.FieldsSeq(out) {
		if strings.HasPrefix(p, "/nix/store/") {
			names = append(names, filepath.Base(p))
		}
	}
	slices.Sort(names)
	return names
}

// sizeOf is the size of what a system consists of, in bytes.
func sizeOf(t testing.TB, s mininixos.Set, name string) (total int64) {
	t.Helper()
	args := []string{"--query", "--size"}
	for _, base := range closureOf(t, s, name) {
		args = append(args, "/nix/store/"+base)
	}
	out, err := nixStore(t, s, args...)
	must(t, err)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "warning: ") {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		must(t, err)
		total += n
	}
	return total
}

// TestSystem takes guests of a NixOS system through their lives: with and
// without a user namespace, with a root that lasts and one that does not.
func TestSystem(t *testing.T) {
	t.Parallel()
	for _, users := range []string{"pick", "no"} {
		for _, ephemeral := range []bool{false, true} {
			t.Run(fmt.Sprintf("users %s, ephemeral %v", users, ephemeral), func(t *testing.T) {
				t.Parallel()
				b := newBerth(t)
				s := b.systems()
				one := s.Systems["one"]
				b.run("create", "web", "--system-path", one, "privateNetwork=true", "networks=[none]", "privateUsers="+users, fmt.Sprintf("ephemeral=%v", ephemeral), "--start")
				is(t, "state of the guest", b.in("web", "systemctl is-system-running --wait"), "running")
				is(t, "system", b.in("web", "readlink /run/current-system /run/booted-system"), one+"\n"+one)
				is(t, "closure", b.in("web", "ls -A /nix/store"), strings.Join(closureOf(t, s, "one"), "\n"))
				is(t, "other owners than root", b.in("web", "find /nix / -xdev ! -user 0 ! -path '/proc*' ! -path '/var/log/journal*' | head -5"), "")
				is(t, "web page", b.in("web", "busybox wget -qO- http://127.0.0.1:8080/"), "generation 1")
				is(t, "without", fmt.Sprint(b.status("web").Lost), "[]")
				b.has(b.out("status", "web"), one)
				b.has(b.out("ls"), "nixos-system-mini-1")
				b.guestCannotChangeStore(s, users != "no")

				id := b.in("web", "cat /etc/machine-id; echo kept >/var/lib/file; chown alice /var/lib/file")
				b.run("restart", "web")
				again := b.in("web", "cat /etc/machine-id; cat /var/lib/file 2>/dev/null || :; stat -c %U /var/lib/file 2>/dev/null || :")
				if want := map[bool]string{false: id + "\nkept\nalice", true: id}[ephemeral]; again != want {
					t.Errorf("after a restart: %q, want %q", again, want)
				}
				is(t, "stop", b.run("stop", "web").took < 20*time.Second, true)
				b.run("destroy", "web")
			})
		}
	}
}

// guestCannotChangeStore has root in the guest try to write to its store, and
// to see more of the host's.
func (b *berth) guestCannotChangeStore(s mininixos.Set, mapped bool) {
	b.Helper()
	one, secret := s.Systems["one"], s.Systems["secret"]
	b.run("exec", "web", "--", "unshare", "-m", "/bin/sh", "-c", "mount -t tmpfs x /tmp && mkdir -p /m && mount --bind /nix/store /m && test -x /m/"+filepath.Base(one)+"/init")
	for _, try := range []string{
		"touch /nix/store/new", "mkdir /nix/store/new", "rm -f " + one + "/init", "echo x >>" + one + "/init", "chmod 777 " + one,
		"chown 7 " + one, "mv " + one + " /nix/store/x", "ln " + one + "/init /nix/store/x",
		"mount -o remount,rw /nix/store", "mount -o remount,bind,rw /nix/store && touch " + one + "/new",
		"mkdir -p /m && mount --bind /nix/store /m && mount -o remount,bind,rw /m && touch /m/new",
		"cat " + secret, "cat /nix/store/../../" + secret, "cat /proc/1/root" + secret, "ls /nix/store/../shown", "ls /nix/store/../source",
		"umount /nix/store && cat " + secret,
		"mkdir -p /o && mount -t overlay -o lowerdir=/nix/store:/etc,redirect_dir=follow o /o && cat /o/" + filepath.Base(secret),
		"find / -xdev -name '*-secret' | grep secret", "grep -r secret /proc/self/mountinfo",
	} {
		if r := b.try("exec", "web", "--", "unshare", "-m", "/bin/sh", "-c", try); r.code == 0 || r.code >= 125 && r.code != 127 {
			b.Errorf("root in the guest could: %v", r)
		}
	}
	if mapped {
		if r := b.try("exec", "web", "--", "mount", "-o", "remount,bind,rw", "/nix/store"); r.code == 0 {
			b.Errorf("root in the guest could: %v", r)
		}
	}
	if out, err := nixStore(b, s, "--verify-path", one, secret); err != nil {
		b.Errorf("the host's store has changed: %v\n%s", err, out)
	}
}

// TestSystemRoot takes a root that is there already, with the guest's own
// numbers, and leaves it behind.
func TestSystemRoot(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	root := filepath.Join(b.work, "roots", "web")
	must(t, os.MkdirAll(filepath.Join(root, "srv"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "srv/old"), []byte("data"), 0o644))
	must(t, os.Lchown(filepath.Join(root, "srv/old"), 1000, 1000))
	b.declare("containers: { web: { system: " + s.Systems["one"] + ", root: " + root + " } }")
	b.run("up")
	is(t, "what was there", b.in("web", "cat /srv/old; stat -c ' %u' /srv/old"), "data 1000")
	b.in("web", "echo new >/srv/new")
	var st unix.Stat_t
	must(t, unix.Lstat(filepath.Join(root, "srv/new"), &st))
	is(t, "owner of what root in the guest wrote", st.Uid, 0)
	is(t, "nothing new", b.run("up").err, "web: nothing to do\n")

	b.run("destroy", "web", "--yes")
	if _, err := os.Stat(filepath.Join(root, "srv/new")); err != nil {
		t.Errorf("the data is gone: %v", err)
	}
	b.run("up")
	is(t, "what the next one finds", b.in("web", "cat /srv/new"), "new")
}

// TestSystemHostStore shows all of the host's store to a guest.
func TestSystemHostStore(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	b.run("create", "web", "--system-path", s.Systems["one"], "storeAccess=host", "--start")
	is(t, "what is not its own", b.in("web", "cat "+s.Systems["secret"]), "secret")
	is(t, "owner", b.in("web", "stat -c %u "+s.Systems["secret"]), "0")
	for _, try := range []string{"touch /nix/store/new", "mount -o remount,rw /nix/store", "mount -o remount,bind,rw /nix/store"} {
		if r := b.try("exec", "web", "--", "/bin/sh", "-c", try); r.code == 0 {
			t.Errorf("root in the guest could: %v", r)
		}
	}
	b.declare("containers: { db: { system: " + s.Systems["one"] + ", storeAccess: host, privateUsers: no, autoStart: false } }")
	b.has(b.out("plan", "-f", "berth.yaml"), "note: storeAccess: with privateUsers: no root in the guest can make the host's store writable")
}

// TestSystemKept: a container's system is not collected, and is when nobody
// needs it any more.
func TestSystemKept(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	spare := s.Systems[mininixos.Unkept2]
	b.run("create", "web", "--system-path", spare, "keepGenerations=1")
	collect := func() (string, error) { return nixStore(t, s, "--delete", spare) }
	if out, err := collect(); err == nil || !strings.Contains(out, "alive") {
		t.Fatalf("the system of a stopped container was collected: %v\n%s", err, out)
	}
	b.run("set", "web", "system="+s.Systems["two"])
	is(t, "systems", b.systemsOf("web"), filepath.Base(s.Systems["two"]))
	b.run("set", "web", "system="+spare)
	b.run("start", "web")
	b.run("set", "web", "restartIfChanged=false")
	b.run("set", "web", "system="+s.Systems["two"])
	if out, err := collect(); err == nil {
		t.Fatalf("the system of a running guest was collected:\n%s", out)
	}
	b.run("restart", "web")
	is(t, "system", b.in("web", "readlink /run/current-system"), s.Systems["two"])
	b.run("destroy", "web")
	if out, err := collect(); err != nil {
		t.Errorf("the system of a container that is gone is kept: %v\n%s", err, out)
	}
}

// systemsOf are the systems that are kept for a container.
func (b *berth) systemsOf(name string) string {
	b.Helper()
	var names []string
	entries, err := os.ReadDir(filepath.Join(b.root, "var/lib/berth/systems", name))
	must(b, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

// TestSystemChanges declares a link, as nix build makes, that leads to another
// system each time.
func TestSystemChanges(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	link := func(name string) {
		_ = os.Remove(filepath.Join(b.work, "result"))
		must(t, os.Symlink(s.Systems[name], filepath.Join(b.work, "result")))
	}
	link("one")
	b.declare("containers: { web: { system: ./result, privateNetwork: true, networks: [none] } }") // others have its port on the host's
	b.run("up")
	is(t, "system", b.in("web", "readlink /run/current-system; echo kept >/var/lib/file"), s.Systems["one"])
	is(t, "second up", b.run("up").err, "web: nothing to do\n")

	link("two")
	b.has(b.out("plan", "-f", "berth.yaml"), "web: update, effect switch", "system: nixos-system-mini-1 (", " -> nixos-system-mini-2 (")
	var plan struct {
		Steps []struct{ Packages container.PackageDiff }
	}
	b.json(&plan, "plan", "-f", "berth.yaml", "--json")
	is(t, "size before", plan.Steps[0].Packages.OldSize, sizeOf(t, s, "one"))
	is(t, "size after", plan.Steps[0].Packages.NewSize, sizeOf(t, s, "two"))
	b.run("set", "web", "labels.a=b", "--adopt") // of everything else: the system stays
	is(t, "system", b.in("web", "readlink /run/current-system"), s.Systems["one"])
	b.run("apply", "--adopt", "--yes", "-f", "berth.yaml")
	is(t, "system", b.in("web", "readlink /run/current-system; cat /var/lib/file /etc/motd"), s.Systems["two"]+"\nkept\ngeneration 2")
	b.has(b.systemsOf("web"), filepath.Base(s.Systems["one"]), filepath.Base(s.Systems["two"]))

	b.declare("containers: { web: { system: " + s.Systems["two"] + ", privateNetwork: true, networks: [none] } }")
	leader := b.status("web").Leader
	b.run("up")
	is(t, "leader after another way to the same system", b.status("web").Leader, leader)

	b.declare("containers: { web: { image: $TINY, keepGenerations: 1 } }")
	b.has(b.out("plan", "-f", "berth.yaml"), "effect recreate")
	b.run("up", "--yes")
	is(t, "kept systems", b.systemsOf("web"), filepath.Base(s.Systems["two"])) // with what the guest changed in it
	b.declare("containers: { web: { system: " + s.Systems["one"] + " } }")
	b.run("up", "--yes")
	is(t, "system", b.in("web", "readlink /run/current-system; cat /var/lib/file 2>/dev/null || echo new"), s.Systems["one"]+"\nnew")
}

// TestSystemInPlace has a guest's own switch-to-configuration work on the
// systems under test: that they do is what other tests build on.
func TestSystemInPlace(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	b.run("create", "web", "--system-path", s.Systems["one"], "storeAccess=host", "privateNetwork=true", "networks=[none]", "--start")
	pid := b.in("web", "systemctl show -P MainPID steady")
	r := b.run("exec", "web", "--", s.Systems["two"]+"/bin/switch-to-configuration", "test")
	b.has(r.err, "stopping the following units: web.service", "starting the following units: web.service")
	is(t, "current and booted", b.in("web", "readlink /run/current-system /run/booted-system"), s.Systems["two"]+"\n"+s.Systems["one"])
	is(t, "untouched service", b.in("web", "systemctl show -P MainPID steady"), pid)
	is(t, "new service", b.in("web", "systemctl is-active tick; cat /etc/motd"), "active\ngeneration 2")
	b.has(b.fails(4, "exec", "web", "--", s.Systems["failing"]+"/bin/switch-to-configuration", "test").err, "the following units failed: broken.service", "it cannot work")
	is(t, "back", b.try("exec", "web", "--", s.Systems["one"]+"/bin/switch-to-configuration", "test").code, 0)
	is(t, "file of the other", b.in("web", "test -e /etc/motd || echo gone"), "gone")
	b.fails(1, "exec", "web", "--", s.Systems["one"]+"/bin/switch-to-configuration")
}

// TestSystemKinds has systems that are large, that come up degraded, and that
// never do.
func TestSystemKinds(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	for name, limit := range map[string]string{"large": "1min", "failing": "1min", "stuck": "4s"} {
		b.run("create", name, "--system-path", s.Systems[name], "timeoutStartSec="+limit)
	}
	b.run("start", "large", "failing")
	is(t, "packages", b.in("large", "ls /nix/store | wc -l"), fmt.Sprint(len(closureOf(t, s, "large"))))
	is(t, "mounts", b.in("large", "grep -c ' /nix/store' /proc/self/mountinfo"), "1")
	is(t, "what a file has", b.in("large", "cat /nix/store/*-package-7"), "7")
	is(t, "state", b.in("failing", "systemctl is-system-running --wait || :"), "degraded")
	b.has(b.out("why", "failing"), "broken.service")
	b.fails(5, "start", "stuck")
}

// TestSystemRefused: what cannot be booted is told before anything is made.
func TestSystemRefused(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	for system, want := range map[string]string{
		"/nix/store/00000000000000000000000000000000-nixos-system-gone": "is not valid",
		s.Systems["secret"]:           "is not a NixOS system: it has no init",
		s.Systems["one"] + "/init":    "leads to no store path",
		b.work:                        "leads to no store path",
		filepath.Join(b.work, "gone"): "no such file or directory",
	} {
		r := b.fails(1, "create", "web", "--system-path", system)
		b.has(r.err, want, "hint: ")
		is(t, "answer", r.out, "")
	}
	is(t, "containers", b.out("ls", "-q"), "")
	env := b.env
	defer func() { b.env = env }()
	b.env = append(slices.Clone(env), "PATH=/nonexistent")
	if _, err := os.Stat("/nix/var/nix/profiles/default/bin/nix-store"); err != nil {
		b.has(b.fails(1, "create", "web", "--system-path", s.Systems["one"]).err, "this host has no Nix")
	}
}

// TestSystemLeftovers removes what a killed create leaves of a system.
func TestSystemLeftovers(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	b.run("create", "web", "--system-path", s.Systems["one"])
	systems := filepath.Join(b.root, "var/lib/berth/systems")
	must(t, os.Rename(filepath.Join(systems, "web"), filepath.Join(systems, "gone")))
	b.declare("containers: { k: { image: $TINY, autoStart: false } }")
	b.run("apply", "-f", "berth.yaml")
	if _, err := os.Stat(filepath.Join(systems, "gone")); err == nil {
		t.Error("the system of no container is kept")
	}
	b.run("start", "web") // takes what is missing
	is(t, "kept systems", b.systemsOf("web"), filepath.Base(s.Systems["one"]))
}

// TestSystemFromCache boots a system that a binary cache has brought into
// berth's own store, without a Nix.
func TestSystemFromCache(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	s := b.systems()
	one := s.Systems["one"]
	key := b.fillCache(s, one)
	b.withoutNix()
	b.run("nix", "pull", "file://"+b.work+"/cache", one, "--trusted-public-key", key)
	b.run("create", "web", "--system-path", one, "--start")
	is(t, "system", b.in("web", "readlink /run/current-system"), one)
	is(t, "closure", b.in("web", "ls -A /nix/store"), strings.Join(closureOf(t, s, "one"), "\n"))
	b.run("nix", "gc")
	is(t, "after garbage collection", b.in("web", "cat "+one+"/nixos-version"), "1")
	b.run("destroy", "web")
	b.run("nix", "gc")
	is(t, "what is left of the store", b.out("nix", "ls", "--json"), "[]")
}

// withoutNix has commands find all of this machine's programs but Nix.
func (b *berth) withoutNix() {
	b.Helper()
	dir := filepath.Join(b.work, "programs")
	must(b, os.Mkdir(dir, 0o755))
	for _, from := range []string{"/usr/bin", "/usr/sbin"} {
		entries, err := os.ReadDir(from)
		must(b, err)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "nix") {
				continue
			}
			if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())); !errors.Is(err, fs.ErrExist) {
				must(b, err)
			}
		}
	}
	b.env = append(b.env, "PATH="+dir)
}

// TestSystemCached declares systems in binary caches: one that is not signed,
// one over HTTP, and an update that goes back when the cache is gone.
func TestSystemCached(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	g := &generational{b, b.systems()}
	one, two := g.s.Systems["one"], g.s.Systems["two"]
	key := g.cache("one", "two")
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(b.work, "cache"))))
	defer server.Close()
	declare := func(system string) {
		b.declare("containers: { web: { system: 'cache+" + server.URL + "/" + filepath.Base(system) + "', privateNetwork: true, networks: [none] } }")
	}
	b.withoutNix()

	declare(one)
	b.has(b.fails(1, "up").err, "web: ", "signed by test-1, and not by a key that is trusted", "hint: ", "nix.trustedPublicKeys in /etc/berth/berth.yaml")
	must(t, os.MkdirAll(filepath.Join(b.root, "etc/berth"), 0o755))
	must(t, os.WriteFile(filepath.Join(b.root, "etc/berth/berth.yaml"), fmt.Appendf(nil, "nix: { trustedPublicKeys: ['%s'] }\n", key), 0o600))
	info := filepath.Join("cache", filepath.Base(one)[:32]+".narinfo")
	signed := g.read(filepath.Join(b.work, info))
	b.write(info, signed[:strings.Index(signed, "Sig: ")])
	b.has(b.fails(1, "up").err, "web: ", "no good signature: it has none", "hint: sign it in the cache")
	is(t, "containers", b.out("ls", "-q"), "")
	b.write(info, signed)

	b.has(b.out("plan", "-f", "berth.yaml"), "web: create, start")
	b.run("up")
	before := g.guest()
	is(t, "system", before.system, "one")
	is(t, "closure", b.in("web", "ls -A /nix/store"), strings.Join(closureOf(t, g.s, "one"), "\n"))
	declare(two)
	b.has(b.out("plan", "-f", "berth.yaml"), "web: update, effect switch", "system: cache+"+server.URL+"/"+filepath.Base(one)+" -> cache+", "packages: page: 1 -> 2")
	b.run("apply", "-f", "berth.yaml", "--yes")
	after := g.guest()
	is(t, "guest", after.system+after.boot+after.steady, "two"+before.boot+before.steady)

	server.Close()
	is(t, "again", b.run("up").err, "web: nothing to do\n")
	b.has(b.run("nix", "gc").err, "0 store paths removed")
	is(t, "generations", g.table(), "1:one 2:two*")
	b.run("rollback", "web")
	is(t, "system", g.guest().system, "one")
	b.has(b.fails(1, "create", "db", "--system-path", "cache+"+server.URL+"/"+filepath.Base(g.s.Systems["failing"])).err, "db: ", "hint: check that the cache can be reached")

	left := "pulled-" + strings.Repeat("a", 26) + "-0" // by a command that was killed
	b.run("nix", "pull", "file://"+b.work+"/cache", one, "--name", left)
	b.run("create", "db", "--system-path", "cache+file://"+b.work+"/cache/"+filepath.Base(two)[:32])
	is(t, "names in the store", strings.Contains(b.out("nix", "ls"), "pulled-"), false)
	b.run("destroy", "--all", "--yes")
	b.run("nix", "gc")
	is(t, "what is left of the store", b.out("nix", "ls", "--json"), "[]")
	must(t, os.Remove(filepath.Join(b.root, "etc/berth/berth.yaml")))
}

// cache makes a binary cache of systems in the directory cache, and returns its
// public key.
func (g *generational) cache(names ...string) string {
	g.Helper()
	var paths []string
	for _, n := range names {
		paths = append(paths, g.s.Systems[n])
	}
	return g.fillCache(g.s, paths...)
}

// fillCache is the same for store paths.
func (b *berth) fillCache(s mininixos.Set, paths ...string) string {
	b.Helper()
	b.nix(s, "nix-store", "--generate-binary-cache-key", "test-1", "secret", "public")
	to := "file://" + b.work + "/cache?compression=none&secret-key=" + b.work + "/secret"
	b.nix(s, "nix", append([]string{"--extra-experimental-features", "nix-command", "copy", "--to", to}, paths...)...)
	return strings.TrimSpace(b.read(filepath.Join(b.work, "public")))
}
