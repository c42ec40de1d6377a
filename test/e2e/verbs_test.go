//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAnswers reads what every verb that answers says, for people and as JSON.
func TestAnswers(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny(), "labels.tier=front", "--start")
	for _, c := range []struct{ args, person, field string }{
		{"ls", "running", "state"},
		{"status k", "tier=front", "leader"},
		{"show k", "tier: front", "containers"},
		{"why k", "k is running", ""},
		{"image ls", "Tiny guest", "digest"},
		{"doctor", "systemd-nspawn", "severity"},
		{"version", "berth", "version"},
	} {
		args := strings.Fields(c.args)
		r := b.run(args...)
		b.has(r.out, c.person)
		is(t, "stderr of "+c.args, r.err, "")
		r = b.run(append(args, "--json")...)
		is(t, "stderr of "+c.args+" --json", r.err, "")
		if !json.Valid([]byte(r.out)) {
			t.Errorf("it is not JSON: %v", r)
		}
		b.has(r.out, `"`+c.field)
	}
	if schema := b.out("schema"); !json.Valid([]byte(schema)) {
		t.Errorf("the schema is not JSON: %s", tail(schema))
	}
	b.has(b.out("completion", "bash"), "berth")
	b.has(b.out("__complete", "start", ""), "k\n")
	b.has(b.out("--help"), "apply", "exec", "doctor")
}

// TestUnreadable: a container of which nothing can be read hides no other, and
// its guest can be stopped.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "a", "--image", tiny(), "--start")
	b.run("create", "k", "--image", tiny())
	must(t, os.WriteFile(filepath.Join(b.root, "var/lib/berth/containers/a/spec.json"), []byte("{ torn"), 0o600))
	r := b.fails(1, "ls")
	b.has(r.out, "k ")
	b.has(r.err, "containers/a/spec.json", "hint: berth doctor says what to do")
	b.has(b.fails(1, "ls", "--json").out, `"name": "k"`)
	b.has(b.fails(1, "doctor").out, "remedy: bring "+b.root+"/var/lib/berth/containers/a/spec.json back from a backup", "and berth destroy a removes it all")
	b.run("stop", "a")
	is(t, "processes of a", len(pidsOf(b.root, "a")), 0)
	b.run("destroy", "a")
	b.run("ls")
}

// TestMistakes asserts exit codes, that errors have hints, and that stdout
// stays silent.
func TestMistakes(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny())
	for _, c := range []struct {
		code int
		args string
		want string
	}{
		{2, "frobnicate", "frobnicate"},
		{2, "start --frobnicate", "unknown flag"},
		{2, "start", "no container is named"},
		{2, "create", "an argument is missing"},
		{2, "create a/b --image " + tiny(), "a/b"},
		{2, "create x --image nonsense", "nonsense"},
		{2, "set k colour=red", "unknown key"},
		{2, "apply -f /does/not/exist.yaml", "/does/not/exist.yaml"},
		{3, "start nobody", "no such container"},
		{3, "exec nobody", "an argument is missing"},
		{3, "show nobody", "no such container"},
		{1, "create k --image " + tiny(), "exists already"},
		{1, "create x --image dir:/does/not/exist", "/does/not/exist"},
		{2, "cp here there", "neither"},
	} {
		if strings.HasPrefix(c.args, "exec") {
			c.code = 2
		}
		r := b.fails(c.code, strings.Fields(c.args)...)
		is(t, "stdout of "+c.args, r.out, "")
		b.has(r.err, "berth: ", c.want)
	}
	is(t, "containers", b.out("ls", "-q"), "k")
	r := b.fails(125, "exec", "nobody", "--", "true")
	b.has(r.err, "no such container")
	b.has(b.fails(125, "exec", "k", "--", "true").err, "not running", "hint: berth start k")
}

// editor is a script that stands in for one.
func (b *berth) editor(script string) {
	b.Helper()
	path := b.file("editor", "#!/bin/sh\n"+script+"\n")
	must(b, os.Chmod(path, 0o755))
	b.env = []string{"VISUAL=", "EDITOR=" + path, "TMPDIR=" + b.work}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny(), "labels.tier=front", "--start")
	leader := b.status("k").Leader
	b.editor(`sed -i 's/tier: front/tier: back/' "$1"`)
	b.has(b.run("edit", "k").err, "labels.tier: front -> back (live)")
	is(t, "label", b.status("k").Labels["tier"], "back")
	is(t, "leader", b.status("k").Leader, leader)
	b.has(b.run("edit", "k").err, "nothing was changed")
	b.editor("exit 3")
	b.has(b.fails(1, "edit", "k").err, "editor")
	is(t, "temporary files", len(glob(b, "berth-*.yaml")), 0)

	b.editor(`sed -i 's/tier:/teir [/' "$1"`) // what does not parse is not thrown away
	r := b.fails(2, "edit", "k")
	kept := glob(b, "berth-*.yaml")
	if len(kept) != 1 {
		t.Fatalf("kept files: %q", kept)
	}
	b.has(r.err, kept[0])
	b.has(b.read(kept[0]), "teir [")
	is(t, "label", b.status("k").Labels["tier"], "back")
	must(t, os.Remove(kept[0]))

	b.run("create", "db", "--image", tiny())
	b.run("set", "k", "dependsOn=[db]") // which the editor's copy does not declare
	b.editor(`sed -i 's/tier: back/tier: left/' "$1"; ` + os.Getenv(binaryVariable) + ` set k labels.other=1`)
	b.has(b.fails(1, "edit", "k").err, "another command has changed it meanwhile", "what you wrote is in ")
	must(t, os.Remove(glob(b, "berth-*.yaml")[0]))
	b.editor(`sed -i 's/tier: back/tier: right/' "$1"`)
	b.run("edit", "k")
	is(t, "label", b.status("k").Labels["tier"], "right")
	b.editor(`echo '    bindMounts: { /x: { hostPath: ./missing } }' >>"$1"`) // below the folder, not the copy's
	b.has(b.fails(1, "edit", "k").err, b.work+"/missing does not exist on the host", "what you wrote is in ")
}

func glob(b *berth, pattern string) []string {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(b.work, pattern))
	must(b, err)
	return found
}

func TestLogs(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "a", "--image", tiny())
	is(t, "log of what never ran", b.out("logs", "a"), "")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	follow := b.command(ctx, "logs", "-f", "a")
	out, err := follow.StdoutPipe()
	must(t, err)
	must(t, follow.Start())
	b.run("start", "a")
	lines := bufio.NewScanner(out)
	await := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("logs -f ended without %q", want)
	}
	await("tinyinit: hello")
	b.run("exec", "a", "--", "write", "/dev/console", "said \x1b[2J\x1b[31mlater")
	await("said [2J\x1b[31mlater") // colour, but nothing that moves
	must(t, follow.Process.Signal(syscall.SIGINT))
	if err := follow.Wait(); err != nil {
		t.Errorf("logs -f after an interrupt: %v", err)
	}
	b.run("stop", "a")
	is(t, "last line", b.out("logs", "--console", "-n", "1", "a"), "said [2J\x1b[31mlater\x1b[0m")
	b.has(b.run("logs", "-n", "1", "--raw", "a").out, "console: said \x1b[2J")

	b.run("create", "c", "--image", tiny(), "--start")
	b.until("the journal has what c said", func() bool { return strings.Contains(b.out("logs", "--console", "c"), "tinyinit: hello") })
	b.has(b.out("logs", "--console", "--all"), "a  tinyinit: hello", "c  tinyinit: hello")
	b.has(b.out("logs", "--all"), "console: tinyinit: hello")
}

func TestCopy(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "a", "--image", debian(), "--start")
	b.run("create", "c", "--image", debian(), "--start")
	b.file("tree/one", "1\n")
	b.file("tree/sub/two", "2\n")
	must(t, os.Chmod(filepath.Join(b.work, "tree/one"), 0o640))
	must(t, os.Symlink("one", filepath.Join(b.work, "tree/link")))

	b.run("cp", "tree/one", "a:/root/copy")
	is(t, "file", b.in("a", "stat -c '%U %a' /root/copy; cat /root/copy"), "root 640\n1")
	b.run("cp", "tree", "a:/srv")
	is(t, "tree", b.in("a", "cd /srv/tree; cat sub/two; readlink link; stat -c %u sub"), "2\none\n0")
	b.run("cp", "a:/srv/tree", "c:/srv/again")
	is(t, "from guest to guest", b.in("c", "cat /srv/again/sub/two"), "2")
	b.in("c", "chown 1000:1000 /srv/again/one")
	b.run("cp", "--archive", "c:/srv/again", "back")
	is(t, "back", b.read(filepath.Join(b.work, "back/sub/two")), "2\n")
	is(t, "owner", owner(b, filepath.Join(b.work, "back/one")), 1000)

	// What takes long says so; standard output stays empty.
	b.in("a", "head -c 2M /dev/urandom >/root/big")
	for _, args := range [][]string{{"a:/root/big", "big"}, {"big", "c:/root/big"}, {"c:/root/big", "a:/root/big2"}} {
		r := b.run(append([]string{"cp"}, args...)...)
		b.has(r.err, args[0]+": copying")
		is(t, "standard output", r.out, "")
	}
	b.in("a", "cmp /root/big /root/big2")

	// A guest leads nobody out of it.
	b.in("a", "ln -s "+b.work+" /srv/trap; ln -s /etc /srv/etc")
	b.try("cp", "tree/one", "a:/srv/trap/escaped")
	if _, err := os.Stat(filepath.Join(b.work, "escaped")); err == nil {
		t.Error("a link of the guest led to the host")
	}
	b.run("cp", "a:/srv/etc/machine-id", "id")
	is(t, "machine-id", strings.TrimSpace(b.read(filepath.Join(b.work, "id"))), b.in("a", "cat /etc/machine-id"))

	b.has(b.fails(1, "cp", "a:/nowhere", "x").err, "/nowhere")
	b.fails(1, "cp", "nowhere", "a:/root")
	b.fails(2, "cp", "tree", "a:relative")
	b.fails(3, "cp", "tree", "nobody:/root")
}

func owner(b *berth, path string) int {
	b.Helper()
	info, err := os.Lstat(path)
	must(b, err)
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestWhy(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	b.try("exec", "web", "--", "systemd-run", "--unit=broken", "sh", "-c", "echo my disk is full >&2; exit 1")
	b.try("exec", "web", "--", "systemd-run", `--unit=so\x2dtoo`, "sh", "-c", "echo and so is this one >&2; exit 1")
	b.until("why names the failed units", func() bool {
		why := b.out("why", "web")
		return strings.Contains(why, "broken.service") && strings.Contains(why, `so\x2dtoo.service`)
	})
	b.has(b.out("why", "web"), "web is running", "my disk is full", "and so is this one")
	b.run("stop", "web")
	b.run("set", "web", "bindMounts./srv.hostPath=/does/not/exist")
	b.has(b.out("why", "web"), "web is stopped", "cannot start", "/does/not/exist")
	is(t, "the first cause", b.causes("web")[0], "start")
	b.has(b.out("doctor"), "container web: it cannot start now", "/does/not/exist", "remedy: make it, or set create: true")

	b.run("create", "die", "--image", tiny(), "environment.TINY=die")
	r := b.fails(1, "start", "die")
	b.has(r.err, "berth: die:", "hint: berth why die")
	b.state("die", "failed")
	b.has(b.out("why", "die"), "die has failed", "tinyinit: dying")
	is(t, "causes", strings.Join(b.causes("die"), " "), "end console")
	b.run("stop", "die") // nothing runs; it is no failure any more
	b.state("die", "stopped")

	b.run("create", "flag", "--image", tiny(), "extraFlags=[--oops]")
	b.fails(1, "start", "flag")
	b.has(b.out("why", "flag"), "flag has failed", "unrecognized option '--oops'")
}

// causes are the kinds of what why says, in its order.
func (b *berth) causes(name string) []string {
	b.Helper()
	var d struct {
		Name, State string
		Causes      []struct{ Kind, Text string }
	}
	b.json(&d, "why", "--json", name)
	is(b, "name", d.Name, name)
	var out []string
	for _, c := range d.Causes {
		out = append(out, c.Kind)
	}
	return out
}

func TestImages(t *testing.T) {
	t.Parallel()
	b := newBerth(t).ownImages()
	is(t, "digest", b.out("image", "import", tiny()), b.out("image", "import", tiny()))
	b.run("create", "k", "--image", tiny())
	var all []struct {
		Digest string
		Refs   []string
	}
	b.json(&all, "image", "ls", "--json")
	is(t, "images", len(all), 1)
	is(t, "reference", strings.Join(all[0].Refs, " "), tiny())
	b.has(b.fails(1, "image", "rm", tiny()).err, "in use by k")
	b.has(b.run("image", "prune").err, "0 images removed")
	b.run("start", "k")
	b.run("destroy", "k", "--yes")
	b.has(b.run("image", "rm", all[0].Digest).err, "removed")
	is(t, "images", b.out("image", "ls", "--json"), "[]")

	b.file("not.tar", "this is no archive")
	b.fails(1, "image", "import", "tar:"+filepath.Join(b.work, "not.tar"))
	b.run("image", "import", tiny())
	b.has(b.run("image", "prune").err, "1 image removed")
	is(t, "images", b.out("image", "ls", "--json"), "[]")
	must(t, filepath.WalkDir(filepath.Join(b.root, "var/lib/berth/images"), func(path string, d os.DirEntry, err error) error {
		if d.Name() == "rootfs" {
			t.Errorf("left behind: %s", path)
		}
		return err
	}))
}

// TestInterrupt makes sure that a command that waits ends when it is interrupted.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "never", "--image", tiny(), "environment.TINY=never", "timeoutStartSec=infinity")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := b.command(ctx, "start", "never")
	must(t, start.Start())
	b.until("it is starting", func() bool { return b.status("never").State == "starting" })
	begun := time.Now()
	must(t, start.Process.Signal(syscall.SIGINT))
	_ = start.Wait()
	if took := time.Since(begun); took > 5*time.Second || start.ProcessState.Success() {
		t.Errorf("an interrupted start ended after %v with %v", took, start.ProcessState)
	}
	b.run("terminate", "never")
	b.state("never", "stopped")
}

// TestAsk: on a terminal what ends a guest or removes data asks first.
func TestAsk(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny(), "--start")
	leader := b.status("k").Leader
	ask := func(answer string, args ...string) {
		t.Helper()
		m := b.onTerminal(args...)
		m.await(`\? \[y/N\] `)
		m.write(answer + "\r")
		is(t, "code", m.code(), 0)
	}
	ask("", "set", "k", "environment.A=b")
	is(t, "leader", b.status("k").Leader, leader)
	b.onTerminal("set", "k", "labels.a=b").code() // nobody notices: no question
	is(t, "label", b.status("k").Labels["a"], "b")
	ask("y", "set", "k", "environment.A=b")
	if b.status("k").Leader == leader {
		t.Error("the answer yes did not restart the guest")
	}
	ask("n", "destroy", "k")
	b.state("k", "running")
	b.onTerminal("set", "k", "environment.A=c", "--yes").code()
	ask("yes", "destroy", "k")
	b.fails(3, "status", "k")
}

// TestDoctor finds what killed commands leave, and removes it when told to.
func TestDoctor(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny(), "--start")
	is(t, "fix of nothing", b.run("doctor", "--fix").err, "")
	left := []string{"var/lib/berth/containers/.new-x-123/changes/upper", "var/lib/berth/containers/.trash-y-1/container", "run/berth/containers/gone/mnt"}
	for _, d := range left {
		must(t, os.MkdirAll(filepath.Join(b.root, d), 0o700))
	}
	r := b.run("doctor")
	b.has(r.out, ".new-x-123", ".trash-y-1", "gone", "berth doctor --fix")
	b.has(b.run("doctor", "--fix").err, "removed", ".new-x-123", ".trash-y-1", "gone")
	b.clean()
	b.state("k", "running")
}
