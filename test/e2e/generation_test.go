//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-containers/berth/test/mini-nixos"
)

// generational is a container web whose system is where a link leads.
type generational struct {
	*berth
	s mininixos.Set
}

func newGenerational(t testing.TB, first string, keys ...string) *generational {
	b := newBerth(t)
	g := &generational{b, b.systems()}
	g.link(first)
	g.run(append([]string{"create", "web", "--system-path", "./result", "privateNetwork=true", "networks=[none]", "--start"}, keys...)...)
	is(t, "state of the guest", g.in("web", "systemctl is-system-running --wait"), "running")
	return g
}

// link has the container's reference stand for another system.
func (g *generational) link(name string) {
	g.Helper()
	link := filepath.Join(g.work, "result")
	must(g, os.RemoveAll(link))
	must(g, os.Symlink(g.s.Systems[name], link))
}

// generation is what `berth generations --json` tells.
type generation struct {
	Number                  int
	System, Digest, Failed  string
	Current, Next, SetAside bool
}

func (g *generational) generations() []generation {
	g.Helper()
	var out []generation
	g.json(&out, "generations", "web", "--json")
	return out
}

// table are the generations in short: systems by name, with marks for the
// current one, that of the next start, and those that failed.
func (g *generational) table() string {
	g.Helper()
	var out []string
	for _, x := range g.generations() {
		word := fmt.Sprint(x.Number, ":", g.nameOf(x.System))
		for _, m := range []struct {
			mark string
			set  bool
		}{{"*", x.Current}, {">", x.Next}, {"!", x.Failed != ""}} {
			if m.set {
				word += m.mark
			}
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func (g *generational) nameOf(system string) string {
	for name, path := range g.s.Systems {
		if path == system {
			return name
		}
	}
	return system
}

// guest is what the guest runs: its system by its own account, its boot, and
// the processes of its services.
type guest struct{ system, boot, steady, web string }

func (g *generational) guest() guest {
	g.Helper()
	f := strings.Fields(g.in("web", "readlink /run/current-system; cat /proc/sys/kernel/random/boot_id; systemctl show -P MainPID steady web"))
	if len(f) != 4 {
		g.Fatalf("the guest tells %q", f)
	}
	return guest{g.nameOf(f[0]), f[1], f[2], f[3]}
}

// knocker asks the guest's second web server again and again.
func (g *generational) knocker() (stop func() string) {
	ended := make(chan result, 1)
	go func() {
		ended <- g.try("exec", "web", "--", "/bin/sh", "-c",
			"until [ -e /tmp/enough ]; do busybox wget -qO- http://127.0.0.1:8081/ || echo refused; sleep 0.02; done; rm /tmp/enough")
	}()
	return func() string {
		g.in("web", "touch /tmp/enough")
		return (<-ended).out
	}
}

// TestGeneration takes guests through updates: in place, undone, by hand and
// at the next start.
func TestGeneration(t *testing.T) {
	t.Parallel()
	for _, users := range []string{"pick", "no"} {
		for _, ephemeral := range []bool{false, true} {
			t.Run(fmt.Sprintf("users %s, ephemeral %v", users, ephemeral), func(t *testing.T) {
				t.Parallel()
				g := newGenerational(t, "one", "privateUsers="+users, fmt.Sprintf("ephemeral=%v", ephemeral))
				g.updates()
				g.rollsBack()
				g.nextStart()
			})
		}
	}
}

// updates has a running guest switch, and switch back from a bad system.
func (g *generational) updates() {
	g.Helper()
	is(g, "generations", g.table(), "1:one*")
	before := g.guest()
	stop := g.knocker()
	g.link("two")
	r := g.run("update", "web")
	g.has(r.err, "web: update, effect switch", "packages: page: 1 -> 2", "packages: added: unit-tick.service", "size: ",
		"web: switches to generation 2", "web: stopping the following units: web.service", "web: restarting the following units: door.service", "done")
	after := g.guest()
	is(g, "system", after.system, "two")
	is(g, "boot", after.boot, before.boot)
	is(g, "untouched service", after.steady, before.steady)
	if after.web == before.web {
		g.Error("the changed service was not restarted")
	}
	g.in("web", "busybox wget -qO- http://127.0.0.1:8081/")
	answers := stop()
	g.has(answers, "generation 1\n", "generation 2\n")
	if n := strings.Count(answers, "refused"); n > 0 {
		g.Errorf("%d requests were refused", n)
	}
	is(g, "page", g.in("web", "busybox wget -qO- http://127.0.0.1:8080/; cat /etc/motd"), "generation 2\ngeneration 2")
	is(g, "old system", g.in("web", g.s.Systems["one"]+"/sw/bin/echo there"), "there")
	is(g, "other owners than root", g.in("web", "find /nix -xdev ! -user 0 | head -3"), "")
	g.in("web", "nsenter -m -t $(systemctl show -P MainPID steady) test -x "+g.s.Systems["two"]+"/init") // in a mount namespace of its own
	is(g, "generations", g.table(), "1:one 2:two*")
	is(g, "nothing new", g.run("update", "web").err, "web: nothing to do\n")

	g.link("failing")
	r = g.fails(5, "update", "web")
	g.has(r.err, "warning: the following units failed: broken.service", "broken.service failed:", "it cannot work",
		"switches back to generation 2", "berth: web: unhealthy after its update: broken.service failed: it has generation 2 again, not 3", "hint: ")
	is(g, "generations", g.table(), "1:one 2:two* 3:failing!")
	back := g.guest()
	is(g, "after a bad update", back.system+back.boot+back.steady, "two"+after.boot+after.steady)
	is(g, "page", g.in("web", "busybox wget -qO- http://127.0.0.1:8080/; systemctl is-system-running"), "generation 2\nrunning")
}

// rollsBack goes back by hand, also from a bad system that was to stay.
func (g *generational) rollsBack() {
	g.Helper()
	before := g.guest()
	g.has(g.fails(5, "update", "web", "--no-rollback").err, "note: generation 3, which has this system, was undone: broken.service failed")
	is(g, "generations", g.table(), "1:one 2:two 3:failing*!")
	is(g, "the unit to look at", g.in("web", "systemctl is-failed broken"), "failed")
	g.has(g.run("rollback", "web").err, "web: update, effect switch", "switches to generation 2")
	is(g, "generations", g.table(), "1:one 2:two* 3:failing!")
	g.run("rollback", "web", "--to", "1")
	is(g, "generations", g.table(), "1:one* 2:two 3:failing!")
	after := g.guest()
	is(g, "after all", after.system+after.boot+after.steady, "one"+before.boot+before.steady)
	is(g, "mounts of the store", g.in("web", "grep -c ' /nix/store ' /proc/self/mountinfo"), "3") // none for what was there before
	g.has(g.fails(1, "rollback", "web").err, "there is no generation before its own", "hint: ")
	g.has(g.fails(1, "rollback", "web", "--to", "9").err, "there is no generation 9")
}

// nextStart leaves a running guest alone, and a stopped one stopped.
func (g *generational) nextStart() {
	g.Helper()
	before := g.guest()
	g.link("two")
	g.has(g.run("update", "web", "--boot").err, "it waits for the next start")
	is(g, "guest", g.guest(), before)
	is(g, "generations", g.table(), "1:one* 2:two 3:failing! 4:two>")
	g.run("restart", "web")
	is(g, "system", g.guest().system, "two")
	is(g, "mounts of the store", g.in("web", "grep -c ' /nix/store ' /proc/self/mountinfo"), "1")
	g.run("stop", "web")
	g.link("one")
	g.run("update", "web")
	g.state("web", "stopped")
	is(g, "generations", g.table(), "1:one 2:two 3:failing! 4:two 5:one*")
	g.run("set", "web", "keepGenerations=2")
	is(g, "generations", g.table(), "4:two 5:one*")
	g.run("start", "web")
	is(g, "system", g.guest().system, "one")
}

// TestGenerationPending switches right away what was to wait for the next
// start.
func TestGenerationPending(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, "one", "restartIfChanged=false")
	before := g.guest()
	g.link("two")
	g.has(g.run("update", "web").err, "restartIfChanged is false: it waits for the next start")
	is(t, "generations", g.table(), "1:one* 2:two>")
	g.run("set", "web", "restartIfChanged=true")
	after := g.guest()
	is(t, "guest", after.system+after.boot, "two"+before.boot)
	is(t, "generations", g.table(), "1:one 2:two*")
	g.try("exec", "web", "--", "systemctl", "reboot")
	g.until("it has booted again", func() bool {
		r := g.try("exec", "web", "--", "/bin/sh", "-c", "cat /proc/sys/kernel/random/boot_id; systemctl is-system-running --wait")
		return r.code == 0 && !strings.Contains(r.out, before.boot)
	})
	is(t, "system after a reboot", g.guest().system, "two")
	is(t, "generations", g.table(), "1:one 2:two*")
	g.link("failing")
	g.run("update", "web", "--boot")
	g.fails(5, "update", "web")
	is(t, "generations", g.table(), "1:one 2:two* 3:failing!")
}

// TestGenerationRestart changes more than the system, which takes a restart.
func TestGenerationRestart(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, "one")
	before := g.guest()
	r := g.run("set", "web", "system="+g.s.Systems["two"], "tmpfs+=/scratch")
	g.has(r.err, "web: update, effect restart")
	after := g.guest()
	is(t, "system", after.system, "two")
	if after.boot == before.boot {
		t.Error("it was not restarted")
	}
	g.in("web", "mountpoint -q /scratch")
	is(t, "generations", g.table(), "1:one 2:two*")

	for system, want := range map[string]string{"failing": "broken.service failed", "stuck": "not ready in time"} {
		limit := map[string]string{"failing": "1min", "stuck": "8s"}[system]
		r = g.fails(5, "set", "web", "system="+g.s.Systems[system], "tmpfs+=/more", "timeoutStartSec="+limit)
		g.has(r.err, "goes back to generation 2", want, "it has generation 2 again")
		is(t, "system", g.guest().system, "two")
		if out := g.in("web", "mountpoint -q /scratch; mountpoint -q /more || echo no"); out != "no" {
			t.Errorf("after %s: %s", system, out)
		}
		g.has(g.out("show", "web"), "/scratch")
		is(t, "nothing pending", fmt.Sprint(g.status("web").Pending), "[]")
	}
	g.fails(5, "set", "web", "extraFlags+=--nonsense")
	is(t, "system", g.guest().system, "two")
	g.fails(5, "set", "web", "system="+g.s.Systems["failing"], "tmpfs+=/more", "--no-rollback")
	is(t, "system", g.guest().system, "failing")
	g.has(g.run("rollback", "web").err, "effect restart")
	g.in("web", "mountpoint -q /scratch; ! mountpoint -q /more")
}

// TestGenerationHealth has updates fail in other ways than by a failed unit.
func TestGenerationHealth(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, "one", "healthTimeout=15s", "healthCheck.http=http://localhost:8080/", "healthCheck.interval=200ms")
	before := g.guest()
	g.has(g.out("status", "web"), "health", "good")
	for system, want := range map[string]string{"stuck": "the switch had not ended in time", "crashing": "crash.service ended, and is started again"} {
		g.link(system)
		r := g.fails(5, "update", "web")
		g.has(r.err, want, "it has generation 1 again")
		after := g.guest()
		is(t, "guest after "+system, after.system+after.boot, "one"+before.boot)
		g.until("it runs", func() bool { return g.try("exec", "web", "--", "systemctl", "is-system-running").code == 0 })
		is(t, "page", g.in("web", "busybox wget -qO- http://127.0.0.1:8080/"), "generation 1")
	}
	for _, check := range []struct{ set, trouble string }{
		{"healthCheck={tcp: \":81\"}", "connect to :81 in the guest: connect: connection refused"},
		{"healthCheck={http: \"http://localhost:8080/none\"}", "answers with 404 Not Found"},
		{"healthCheck={command: [/bin/sh, -c, \"echo no; exit 3\"]}", "ended with 3: no"},
	} {
		g.run("set", "web", check.set)
		g.has(g.out("status", "web"), check.trouble)
		g.has(g.out("why", "web"), check.trouble)
	}
	g.link("two")
	g.has(g.fails(5, "update", "web").err, "ended with 3: no", "it has generation 1 again")
	is(t, "system", g.guest().system, "one")
	g.run("set", "web", "healthCheck={tcp: \"127.0.0.1:8080\"}")
	g.run("update", "web")
	is(t, "system", g.guest().system, "two")
}

// TestGenerationKept: nothing that a container may need is collected, by the
// host's Nix or in berth's own store.
func TestGenerationKept(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, mininixos.Unkept)
	spare := g.s.Systems[mininixos.Unkept]
	collected := func() bool {
		out, err := nixStore(t, g.s, "--delete", spare)
		if err != nil && !strings.Contains(out, "alive") {
			t.Fatalf("%v\n%s", err, out)
		}
		return err == nil
	}
	g.link("two")
	g.run("update", "web")
	g.run("set", "web", "keepGenerations=1")
	is(t, "generations", g.table(), "2:two*")
	if collected() {
		t.Fatal("what the guest has run since its start was collected")
	}
	g.run("set", "web", "keepGenerations=5")
	g.link(mininixos.Unkept)
	g.run("update", "web", "--boot")
	g.link("one")
	g.run("update", "web", "--boot")
	is(t, "generations", g.table(), "2:two* 3:"+mininixos.Unkept+" 4:one>")
	g.run("restart", "web")
	if collected() {
		t.Fatal("a kept generation was collected")
	}
	g.run("stop", "web")
	g.run("rollback", "web", "--to", "3")
	if collected() {
		t.Fatal("the system of a stopped container was collected")
	}
	g.run("start", "web")
	is(t, "system", g.guest().system, mininixos.Unkept)
	g.run("destroy", "web")
	if !collected() {
		t.Error("the system of a container that is gone is kept")
	}
}

// TestGenerationHostStore switches a guest that sees all of the host's store.
func TestGenerationHostStore(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, "one", "storeAccess=host")
	before := g.guest()
	g.link("two")
	g.has(g.run("update", "web").err, "web: update, effect switch")
	after := g.guest()
	is(t, "guest", after.system+after.boot, "two"+before.boot)
	is(t, "mounts of the store", g.in("web", "grep -c ' /nix/store ' /proc/self/mountinfo"), "1")
}

// TestGenerationFromCache switches between systems of berth's own store, and to
// one of the host's.
func TestGenerationFromCache(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	g := &generational{b, b.systems()}
	key := g.cache("one", "failing")
	for _, name := range []string{"one", "failing"} {
		g.run("nix", "pull", "file://"+g.work+"/cache", g.s.Systems[name], "--trusted-public-key", key)
	}
	g.run("create", "web", "--system-path", g.s.Systems["one"], "privateNetwork=true", "networks=[none]", "--start")
	before := g.guest()
	g.run("set", "web", "system="+g.s.Systems["two"])
	is(t, "in the host's store", g.guest().system, "two")
	g.in("web", "test -x "+g.s.Systems["one"]+"/init && busybox wget -qO- http://127.0.0.1:8080/")
	g.fails(5, "set", "web", "system="+g.s.Systems["failing"])
	g.run("nix", "gc")
	g.run("rollback", "web")
	after := g.guest()
	is(t, "guest", after.system+after.boot+after.steady, "one"+before.boot+before.steady)
	g.run("nix", "gc")
	g.run("restart", "web")
	g.run("rollback", "web", "--to", "3", "--no-rollback", "--boot")
	g.run("restart", "web")
	is(t, "system", g.guest().system, "failing")
	g.run("destroy", "web")
	g.run("nix", "gc")
}

// TestGenerationStopped ends a guest in the midst of an update.
func TestGenerationStopped(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, "one")
	g.link("stuck")
	ended := make(chan result, 1)
	go func() { ended <- g.try("update", "web") }()
	log := filepath.Join(g.root, "var/lib/berth/containers/web/switch.log")
	g.until("the guest switches", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "activating the configuration")
	})
	g.run("terminate", "web")
	g.has(func() string { r := <-ended; is(t, "code of the update", r.code, 5); return r.err }(), "web: unhealthy after its update: ")
	g.state("web", "stopped")
	is(t, "generations", g.table(), "1:one* 2:stuck!")
	g.run("start", "web")
	is(t, "system", g.guest().system, "one")

	cmd, _ := g.spawn("update", "web") // and with a berth that is killed
	must(t, os.Remove(log))
	g.until("the guest switches", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "activating the configuration")
	})
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	g.has(g.run("stop", "web").err, "an update from generation 1 to 2 was interrupted: it starts with generation 1")
	g.run("start", "web")
	is(t, "system", g.guest().system, "one")
}

// TestGenerationImages goes between images, and takes what the guest has
// changed along.
func TestGenerationImages(t *testing.T) {
	t.Parallel()
	b := newBerth(t).ownImages()
	tree := filepath.Join(b.work, "tree")
	must(t, os.CopyFS(tree, os.DirFS(tinyTree(os.Getenv(dirVariable)))))
	b.file("tree/version", "one\n")
	b.run("create", "k", "--image", "dir:tree", "--start")
	b.run("exec", "k", "--", "write", "/mine", "of one")
	b.file("tree/version", "two\n")
	b.has(b.run("update", "k", "--yes").err, "effect recreate")
	is(t, "version", b.out("exec", "k", "--", "cat", "/version"), "two")
	b.fails(1, "exec", "k", "--", "cat", "/mine")
	b.has(b.run("image", "prune").err, "0 images removed")
	b.has(b.out("generations", "k"), "changes set aside", "current")
	b.run("rollback", "k", "--yes")
	b.run("start", "k")
	is(t, "version", b.out("exec", "k", "--", "cat", "/version", "/mine"), "one\nof one")
	var all []generation
	must(t, json.Unmarshal([]byte(b.out("generations", "k", "--json")), &all))
	is(t, "generations", fmt.Sprint(len(all), all[0].Current, all[0].SetAside, all[1].SetAside), "2 true false true")
}
