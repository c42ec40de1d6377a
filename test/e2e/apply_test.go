//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// declare writes berth.yaml with $TINY and $DEBIAN for the images.
func (b *berth) declare(text string) string {
	b.Helper()
	return b.file("berth.yaml", strings.NewReplacer("$TINY", tiny(), "$DEBIAN", debian()).Replace(text))
}

// TestApply goes through all effects of a change.
func TestApply(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	const declaration = `
containers:
  k:
    image: $TINY
    labels: { tier: %s }
    limits: { tasksMax: %d }
    environment: { GREETING: %s }
`
	declare := func(tier string, tasks int, greeting string) {
		b.declare(fmt.Sprintf(declaration, tier, tasks, greeting))
	}
	declare("front", 100, "hello")
	r := b.run("plan", "-f", "berth.yaml")
	is(t, "plan", r.out, "k: create, start\n    note: on the host's network and with users of its own, the guest cannot listen on ports below 1024: "+
		"set privateNetwork: true and forwardPorts, or privateUsers: no\n")
	is(t, "stderr of plan", r.err, "")
	is(t, "containers after plan", b.out("ls", "-q"), "")
	r = b.run("apply", "-f", "berth.yaml")
	is(t, "stdout of apply", r.out, "")
	b.has(r.err, "k: create, start", "done")
	b.state("k", "running")
	is(t, "owner", b.status("k").Owner, "file:"+filepath.Join(b.work, "berth.yaml"))
	leader := b.status("k").Leader

	is(t, "second apply", b.run("apply", "-f", "berth.yaml").err, "k: nothing to do\n")
	is(t, "leader", b.status("k").Leader, leader)

	declare("back", 200, "hello")
	b.has(b.out("plan", "-f", "berth.yaml"), "k: update, effect live", "labels.tier: front -> back (live)", "limits.tasksMax: 100 -> 200 (live)")
	b.run("up")
	is(t, "leader after a live change", b.status("k").Leader, leader)
	is(t, "label", b.status("k").Labels["tier"], "back")
	if holdsLimits() {
		is(t, "tasks", b.limit("k", "pids", "pids.max", "pids.max"), "200")
	}

	declare("back", 200, "bye")
	var plan struct {
		Steps []struct {
			Name, Action, Effect string
			Restart              bool
			Changes              []change
		}
	}
	b.json(&plan, "plan", "-f", "berth.yaml", "--json")
	is(t, "plan", fmt.Sprint(plan.Steps), "[{k update restart true [{environment.GREETING hello bye restart}]}]")
	b.run("apply", "-f", "berth.yaml")
	if b.status("k").Leader == leader {
		t.Error("a change of effect restart did not restart")
	}
	is(t, "another apply", b.run("up").err, "k: nothing to do\n")
	b.run("stop", "k")
	b.has(b.run("up").err, "k: start")
	b.state("k", "running")
	b.run("down")
	b.state("k", "stopped")
	b.file("elsewhere/x", "")
	b.work = filepath.Join(b.work, "elsewhere")
	b.has(b.fails(2, "up").err, "no berth.yaml")
}

// TestRestartIfChanged: without it a change waits for the next start.
func TestRestartIfChanged(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	declare := func(greeting string) {
		b.declare("containers: { k: { image: \"$TINY\", restartIfChanged: false, environment: { GREETING: " + greeting + " } } }")
	}
	declare("hello")
	b.run("up")
	leader := b.status("k").Leader
	declare("bye")
	b.has(b.run("up").err, "environment.GREETING: hello -> bye (restart)", "restartIfChanged is false")
	s := b.status("k")
	is(t, "leader", s.Leader, leader)
	is(t, "pending", fmt.Sprint(s.Pending), "[{environment.GREETING hello bye restart}]")
	b.has(b.out("ls"), "running (restart pending)")
	b.run("restart", "k")
	is(t, "pending", len(b.status("k").Pending), 0)
	b.has(strings.ReplaceAll(b.out("exec", "k", "--", "cat", "/proc/1/environ"), "\x00", "\n"), "GREETING=bye")
}

// TestDependsOn: what others depend on is started first and stopped last.
func TestDependsOn(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.declare(`
containers:
  web: { image: "$TINY", dependsOn: [app] }
  app: { image: "$TINY", dependsOn: [db] }
  db: { image: "$TINY" }
`)
	b.run("up")
	started := func(n string) uint64 {
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.status(n).Leader))
		must(t, err)
		f := strings.Fields(string(info[strings.LastIndexByte(string(info), ')')+1:]))
		var at uint64
		_, err = fmt.Sscan(f[19], &at)
		must(t, err)
		return at
	}
	order := func() {
		t.Helper()
		if !(started("db") < started("app") && started("app") < started("web")) {
			t.Errorf("started: db %d, app %d, web %d", started("db"), started("app"), started("web"))
		}
	}
	order()
	r := b.run("down")
	b.inOrder(r.err, "web: stopped", "app: stopped", "db: stopped")
	b.run("start", "web")
	order()
	b.run("down")

	b.declare(`
containers:
  db: { image: "$TINY", environment: { TINY: die } }
  app: { image: "$TINY", dependsOn: [db] }
`)
	r = b.fails(1, "up")
	b.has(r.err, "berth: db: ", "app", "db, which it depends on, failed")
	b.state("app", "stopped")
}

// inOrder asserts that text contains these one after the other.
func (b *berth) inOrder(text string, want ...string) {
	b.Helper()
	rest := text
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			b.Errorf("%q is not in its place in:\n%s", w, text)
			return
		}
		rest = after
	}
}

// TestOwners: what another declares is not changed silently.
func TestOwners(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.declare("containers: { k: { image: \"$TINY\" }, l: { image: \"$TINY\" } }")
	b.run("up")
	for _, args := range []string{"set k labels.a=b", "edit k"} {
		b.has(b.fails(4, strings.Fields(args)...).err, "owned by another declaration", filepath.Join(b.work, "berth.yaml"), "--adopt")
	}
	other := b.file("other.yaml", "containers: { k: { image: \""+tiny()+"\", labels: { a: b } }, m: { image: \""+tiny()+"\" } }")
	b.has(b.fails(4, "apply", "-f", other).err, "owned by another declaration")
	is(t, "containers", strings.Join(strings.Fields(b.out("ls", "-q")), " "), "k l")
	is(t, "labels", len(b.status("k").Labels), 0)
	b.run("apply", "-f", other, "--adopt")
	is(t, "owner", b.status("k").Owner, "file:"+other)
	is(t, "label", b.status("k").Labels["a"], "b")

	b.file("other.yaml", "containers: { m: { image: \""+tiny()+"\" } }")
	b.run("apply", "-f", other) // without --prune nothing goes away
	b.state("k", "running")
	b.has(b.run("plan", "-f", other, "--prune").out, "k: destroy (no longer declared)")
	b.run("apply", "-f", other, "--prune", "--yes")
	is(t, "containers", strings.Join(strings.Fields(b.out("ls", "-q")), " "), "l m")
	b.run("set", "m", "labels.a=c", "--adopt")
	is(t, "owner", b.status("m").Owner, "cli")
}

// TestRecreate: with another image a container starts over, and what its
// guest changed is kept.
func TestRecreate(t *testing.T) {
	t.Parallel()
	b := newBerth(t).ownImages()
	tree := filepath.Join(b.work, "tree")
	must(t, os.CopyFS(tree, os.DirFS(tinyTree(os.Getenv(dirVariable)))))
	b.file("tree/version", "one\n")
	b.declare("containers: { k: { image: \"dir:tree\" } }")
	b.run("up")
	b.run("exec", "k", "--", "write", "/mine", "what the guest changed")
	is(t, "nothing new", b.run("up").err, "k: nothing to do\n")

	b.file("tree/version", "two\n")
	b.has(b.out("plan", "-f", "berth.yaml"), "k: update, effect recreate", "image: dir:"+tree, "its new content (recreate)", "generations/")
	b.run("up", "--yes")
	is(t, "version", b.out("exec", "k", "--", "cat", "/version"), "two")
	b.fails(1, "exec", "k", "--", "cat", "/mine")
	generation := filepath.Join(b.root, "var/lib/berth/containers/k/generations/1")
	is(t, "what was changed", b.read(filepath.Join(generation, "changes/upper/mine")), "what the guest changed\n")
	b.has(b.read(filepath.Join(generation, "generation.json")), "dir:"+tree)
	is(t, "nothing new", b.run("up").err, "k: nothing to do\n")
	b.has(b.run("image", "prune").err, "0 images removed") // a kept generation has it
}

// TestRelativePaths are meant from where the declaration is.
func TestRelativePaths(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.file("site/www/index.html", "<h1>hello</h1>\n")
	b.file("site/berth.yaml", "containers: { web: { image: \""+tiny()+"\", bindMounts: { /srv: { hostPath: ./www } } } }")
	b.run("apply", "-f", "site/berth.yaml")
	is(t, "page", b.out("exec", "web", "--", "cat", "/srv/index.html"), "<h1>hello</h1>")
	b.file("site/www/index.html", "edited\n")
	is(t, "page after an edit", b.out("exec", "web", "--", "cat", "/srv/index.html"), "edited")
	b.run("apply", "-f", "site") // a directory
	b.has(b.fails(2, "apply").err, "there is no declaration")
	b.file("../root/etc/berth/containers/web.yaml", "containers: { sys: { image: \""+tiny()+"\", autoStart: false } }")
	b.has(b.run("apply").err, "sys: create")
	b.state("sys", "stopped")
	b.fails(0, "destroy", "--all")
	must(t, os.RemoveAll(filepath.Join(b.root, "etc")))
}

// TestTwoApplies at once end with what was declared, whoever is first.
func TestTwoApplies(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.declare("containers: { a: { image: \"$TINY\" }, k: { image: \"$TINY\", dependsOn: [a] }, c: { image: \"$TINY\" } }")
	var wg sync.WaitGroup
	results := make([]result, 4)
	for i := range results {
		wg.Go(func() { results[i] = b.try("up", "--yes") })
	}
	wg.Wait()
	for _, r := range results {
		if r.code != 0 {
			t.Errorf("one of several at once: %v", r)
		}
	}
	for _, n := range []string{"a", "k", "c"} {
		b.state(n, "running")
	}
	is(t, "another apply", strings.Count(b.run("up").err, "nothing to do"), 3)
}
