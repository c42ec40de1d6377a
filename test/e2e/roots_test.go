//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRoots: a stateful container keeps what its guest changed, an ephemeral
// one forgets, and neither changes the image that both start from.
func TestRoots(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	image := filepath.Join(b.root, "var/lib/berth/images/sha256", b.digest(debian()), "rootfs")
	before, err := digestTree(image)
	must(t, err)
	for _, name := range []string{"keeps", "forgets"} {
		b.run("create", name, "--image", debian(), fmt.Sprintf("ephemeral=%t", name == "forgets"), "--start")
		b.in(name, "echo mine >/root/file; rm /etc/debian_version; echo changed >>/etc/passwd; mkdir /usr/new; mv /usr/share/doc /usr/share/docs; ln /root/file /root/hard; chown 1000 /root/hard")
		b.run("restart", name)
	}
	is(t, "kept", b.in("keeps", "cat /root/file; tail -n1 /etc/passwd; stat -c '%u %h' /root/hard; ls -d /usr/share/doc*s; ls /etc/debian_version 2>/dev/null || echo gone"),
		"mine\nchanged\n1000 2\n/usr/share/docs\ngone")
	is(t, "forgotten", b.in("forgets", "ls /root /usr/new 2>/dev/null || true; tail -n1 /etc/passwd | cut -d: -f7; ls /etc/debian_version"),
		"/root:\n/usr/sbin/nologin\n/etc/debian_version")
	if b.in("keeps", "cat /etc/machine-id") == b.in("forgets", "cat /etc/machine-id") {
		t.Error("two guests of one image have the same machine-id")
	}
	id := b.in("forgets", "cat /etc/machine-id")
	b.run("restart", "forgets")
	is(t, "machine-id after a restart", b.in("forgets", "cat /etc/machine-id"), id)
	b.run("stop", "--all")
	after, err := digestTree(image)
	must(t, err)
	is(t, "digest of the image", after, before)
}

// digest is the hexadecimal digest of an image.
func (b *berth) digest(ref string) string {
	b.Helper()
	var all []struct {
		Digest string
		Refs   []string
	}
	b.json(&all, "image", "ls", "--json")
	for _, i := range all {
		for _, r := range i.Refs {
			if r == ref {
				return strings.TrimPrefix(i.Digest, "sha256:")
			}
		}
	}
	b.Fatalf("no image %s in %+v", ref, all)
	return ""
}

// TestTenContainers of one image store it once, and all run at a time.
func TestTenContainers(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	uses := func() int64 { return size(b, filepath.Join(b.root, "var/lib/berth/containers")) }
	for i := range 10 {
		b.run("create", fmt.Sprintf("c%d", i), "--image", debian(), "ephemeral=true")
	}
	if n := uses(); n > 1<<20 {
		t.Errorf("ten containers take %d bytes beside their image", n)
	}
	b.run("start", "--all")
	bases := map[int]bool{}
	for i := range 10 {
		s := b.status(fmt.Sprintf("c%d", i))
		is(t, "state of "+s.Name, s.State, "running")
		bases[s.UIDBase] = true
	}
	is(t, "ranges of user numbers", len(bases), 10)
	is(t, "hostname", b.in("c7", "hostname"), "c7")
	b.run("stop", "--all")
	if n := uses(); n > 1<<20 {
		t.Errorf("ten ephemeral containers that ran take %d bytes", n)
	}
}

// size is what a tree takes on disk.
func size(b *berth, top string) int64 {
	b.Helper()
	var sum int64
	must(b, filepath.WalkDir(top, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return err
	}))
	return sum
}

func TestBindMounts(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.file("rw/host", "from the host\n")
	b.file("ro/host", "read only\n")
	b.file("single", "one file\n")
	must(t, os.Chown(filepath.Join(b.work, "rw/host"), 1234, 1234))
	b.run("create", "web", "--image", debian(),
		"bindMounts./rw={hostPath: rw, isReadOnly: false}", "bindMounts./ro.hostPath=ro",
		"bindMounts./etc/single.hostPath=single", "bindMounts./made={hostPath: a/b/made, isReadOnly: false, create: true}",
		"bindMounts./with: colon.hostPath=ro", "bindMounts./home/app/deep/data.hostPath=ro", "--start")
	is(t, "owner above a mount point", b.in("web", "touch /home/app/new && stat -c %u /home/app /home/app/deep"), "0\n0")
	is(t, "owner in the guest", b.in("web", "stat -c '%u %g' /rw/host; stat -c %u /ro/host"), "1234 1234\n0")
	b.in("web", "echo from the guest >/rw/guest; touch /rw/user /made/x; chown 1000:1000 /rw/user; cat '/with: colon/host'")
	is(t, "content", b.read(filepath.Join(b.work, "rw/guest")), "from the guest\n")
	is(t, "owner of what root wrote", owner(b, filepath.Join(b.work, "rw/guest")), 0)
	is(t, "owner of what a user wrote", owner(b, filepath.Join(b.work, "rw/user")), 1000)
	is(t, "owner of what was made", owner(b, filepath.Join(b.work, "a/b/made/x")), 0)
	is(t, "file", b.in("web", "cat /etc/single"), "one file")
	for _, path := range []string{"/ro/new", "/etc/single"} {
		if r := b.try("exec", "web", "--", "sh", "-c", "echo x >"+path); r.code == 0 || !strings.Contains(r.err, "Read-only") {
			t.Errorf("writing to a read-only bind mount: %v", r)
		}
	}
	if r := b.try("exec", "web", "--", "mount", "-o", "remount,bind,rw", "/ro"); r.code == 0 {
		t.Errorf("the guest made a read-only bind mount writable: %v", r)
	}
	b.file("rw/later", "later\n")
	is(t, "what the host adds", b.in("web", "cat /rw/later"), "later")
	is(t, "mounts on the host", len(mounts(b.root)), 0)
}

// TestMissingSource: what is not there is told before anything happens.
func TestMissingSource(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	for _, c := range []struct{ args, want string }{
		{"bindMounts./x.hostPath=/does/not/exist", "/does/not/exist does not exist on the host"},
		{"credentials=[{id: x, path: /does/not/exist}]", "credentials.x"},
		{"allowedDevices=[{node: /dev/nothing, modifier: rw}]", "allowedDevices"},
	} {
		b.run("create", "k", "--image", tiny(), c.args)
		before := files(b.root)
		b.has(b.fails(1, "start", "k").err, "berth: k: ", c.want)
		is(t, "files after "+c.args, fmt.Sprint(files(b.root)), fmt.Sprint(before))
		b.state("k", "stopped")
		b.run("set", "k", strings.SplitN(c.args, "=", 2)[0][:strings.IndexAny(c.args, ".=")]+"=") // it can be mended
		b.run("destroy", "k")
	}
	// A running guest is not stopped for a restart that cannot succeed.
	b.file("data/x", "")
	b.run("create", "k", "--image", tiny(), "bindMounts./x.hostPath=data", "--start")
	leader := b.status("k").Leader
	must(t, os.RemoveAll(filepath.Join(b.work, "data")))
	b.fails(1, "restart", "k")
	is(t, "leader", b.status("k").Leader, leader)
	b.has(b.fails(1, "set", "k", "bindMounts./y.hostPath=/does/not/exist").err, "note: as things are now it does not start: bindMounts./x: ")
	is(t, "leader", b.status("k").Leader, leader)
}

// TestPrivateUsers changes between all ways to map users, and loses nothing.
func TestPrivateUsers(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.file("data/x", "")
	b.run("create", "web", "--image", debian(), "bindMounts./data={hostPath: data, isReadOnly: false}", "--start")
	b.in("web", "echo kept >/root/file; touch /srv/user; chown 1000:1000 /srv/user")
	picked := b.status("web").UIDBase
	for _, c := range []struct {
		mode string
		base int
	}{{"no", 0}, {"pick", picked}, {"identity", 0}, {"1879048192", 1879048192}, {"no", 0}, {"1879048192", 1879048192}, {"pick", picked}} {
		b.has(b.run("set", "web", "privateUsers="+c.mode).err, "privateUsers: ", "(restart)")
		b.state("web", "running")
		is(t, "base with "+c.mode, b.status("web").UIDBase, c.base)
		is(t, "the init's uid on the host with "+c.mode, uidOf(b, b.status("web").Leader), c.base)
		is(t, "data with "+c.mode, b.in("web", "cat /root/file; stat -c '%u %g' /srv/user; stat -c %u /root/file"), "kept\n1000 1000\n0")
		b.in("web", "touch /data/"+c.mode)
		is(t, "owner of bound data with "+c.mode, owner(b, filepath.Join(b.work, "data", c.mode)), 0)
		is(t, "system with "+c.mode, b.in("web", "systemctl is-system-running --wait || systemctl --failed --plain"), "running")
	}
}

// TestSharedUsers: who chooses user numbers that another container has is told.
func TestSharedUsers(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.declare("containers:\n  one: { image: $TINY, privateUsers: 1879048192 }\n  two: { image: $TINY, privateUsers: 1879052288 }\n  three: { image: $TINY, privateUsers: 1879117824 }\n")
	plan := b.out("plan", "-f", "berth.yaml")
	b.has(plan, "privateUsers: two has user numbers from 1879052288 on", "privateUsers: one has user numbers from 1879048192 on")
	is(t, "notes", strings.Count(plan, "note: privateUsers: "), 2)
	b.run("create", "picked", "--image", tiny())
	b.declare(fmt.Sprintf("containers:\n  one: { image: $TINY, privateUsers: %d }\n", b.status("picked").UIDBase))
	b.has(b.out("plan", "-f", "berth.yaml"), "privateUsers: picked has user numbers from ")
	b.run("create", "based", "--image", tiny(), "privateUsers=1879048192")
	b.declare("containers:\n  one: { image: $TINY, privateUsers: 1879048192 }\n")
	b.has(b.out("plan", "-f", "berth.yaml"), "privateUsers: based has user numbers from 1879048192 on")
}

// uidOf is the user of a process as the host sees it.
func uidOf(b *berth, pid int) int {
	b.Helper()
	for line := range strings.Lines(b.read(fmt.Sprintf("/proc/%d/status", pid))) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Uid:" {
			uid, err := strconv.Atoi(f[1])
			must(b, err)
			return uid
		}
	}
	return -1
}
