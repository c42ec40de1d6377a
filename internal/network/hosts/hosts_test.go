package hosts

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const foreign = "127.0.0.1 localhost\n\n# a comment\n::1 localhost ip6-localhost"

func web(name string) []Entry {
	return []Entry{{netip.MustParseAddr("10.0.0.5"), []string{name + ".containers", "www.containers"}}, {netip.MustParseAddr("fd00::5"), []string{name + ".containers"}}}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func set(t *testing.T, f File, entries []Entry) {
	t.Helper()
	if err := f.Set(entries); err != nil {
		t.Fatal(err)
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/hosts"
	write(t, path, foreign)
	one, two := File{path, "berth"}, File{path, "berth-12345678"}
	set(t, one, web("web"))
	set(t, two, web("other"))
	want := foreign + "\n# begin berth: written by berth, changes are lost\n10.0.0.5 web.containers www.containers\nfd00::5 web.containers\n# end berth\n" +
		"# begin berth-12345678: written by berth, changes are lost\n10.0.0.5 other.containers www.containers\nfd00::5 other.containers\n# end berth-12345678\n"
	if got := read(t, path); got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
	before, _ := os.Stat(path)
	set(t, two, web("other"))
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("it is written without a change")
	}
	set(t, one, web("x"))
	if got := read(t, path); got != strings.ReplaceAll(want, "web.", "x.") {
		t.Errorf("after a change\n%s", got)
	}
	set(t, one, nil)
	if one.Has() || !two.Has() {
		t.Error("Has is wrong")
	}
	set(t, two, nil)
	if got := read(t, path); got != foreign+"\n" {
		t.Errorf("at the end\n%s", got)
	}
}

// TestKilled: what was being written when its writer was killed does not stay.
func TestKilled(t *testing.T) {
	t.Parallel()
	f := File{t.TempDir() + "/hosts", "berth"}
	write(t, f.Path, foreign)
	staging := filepath.Join(filepath.Dir(f.Path), ".berth-hosts")
	for _, entries := range [][]Entry{nil, web("web"), web("web"), nil} {
		write(t, staging, "half of")
		if !f.Has() {
			t.Error("nothing is left")
		}
		set(t, f, entries)
		if _, err := os.Lstat(staging); err == nil {
			t.Errorf("%v: it is still there", entries)
		}
	}
	if got := read(t, f.Path); strings.TrimSpace(got) != foreign || f.Has() {
		t.Errorf("%s\nnot\n%s", got, foreign)
	}
}

// TestEdited is a file in which somebody has deleted the second mark.
func TestEdited(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/hosts"
	f := File{path, "berth"}
	write(t, path, foreign+"\n")
	set(t, f, web("web"))
	write(t, path, strings.Replace(read(t, path), f.end(), "\n10.9.9.9 mine\n", 1))
	set(t, f, nil)
	if got := read(t, path); got != foreign+"\n\n10.9.9.9 mine\n" {
		t.Errorf("%s", got)
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := dir + "/hosts"
	write(t, path, foreign)
	if err := os.Chown(path, 5, 6); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	xattr := unix.Setxattr(path, "user.x", []byte("y"), 0) == nil // where the file system has them
	link := dir + "/link"
	if err := os.Symlink("hosts", link); err != nil {
		t.Fatal(err)
	}
	check := func(f File) {
		t.Helper()
		set(t, f, web("web"))
		st, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if own := st.Sys().(*syscall.Stat_t); own.Uid != 5 || own.Gid != 6 || st.Mode() != 0o604 {
			t.Errorf("it is now %v of %d:%d", st.Mode(), own.Uid, own.Gid)
		}
		value := make([]byte, 8)
		if n, err := unix.Getxattr(path, "user.x", value); xattr && string(value[:max(n, 0)]) != "y" {
			t.Errorf("its attribute is %q (%v)", value[:max(n, 0)], err)
		}
		if !strings.Contains(read(t, path), "web.containers") {
			t.Error("it has no names")
		}
		set(t, f, nil)
	}
	check(File{link, "berth"})
	if st, _ := os.Lstat(link); st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is a link no more")
	}
	if err := os.Link(path, dir+"/second"); err != nil {
		t.Fatal(err)
	}
	check(File{path, "berth"})
	a, _ := os.Stat(path)
	b, _ := os.Stat(dir + "/second")
	if !os.SameFile(a, b) {
		t.Error("its two names are two files now")
	}
	if left, _ := filepath.Glob(dir + "/.berth*"); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

// TestMounted is a file that something is mounted on, as in a container.
func TestMounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/real", foreign+"\n")
	write(t, dir+"/hosts", "")
	if err := unix.Mount(dir+"/real", dir+"/hosts", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/hosts", 0)
	f := File{dir + "/hosts", "berth"}
	set(t, f, web("web"))
	if !strings.Contains(read(t, dir+"/real"), "web.containers") {
		t.Error("the real file has no names")
	}
	set(t, f, nil)
	if got := read(t, dir+"/real"); got != foreign+"\n" {
		t.Errorf("%s", got)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	f := File{t.TempDir() + "/hosts", "berth"}
	set(t, f, nil)
	if _, err := os.Stat(f.Path); err == nil {
		t.Error("it is made for nothing")
	}
	set(t, f, web("web"))
	if !f.Has() {
		t.Error("it is not made")
	}
	if err := (File{t.TempDir() + "/none/hosts", "berth"}).Set(web("web")); err == nil {
		t.Error("no error without a directory")
	}
}

// TestAtOnce has several owners write at the same time.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/hosts"
	write(t, path, foreign+"\n")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20 {
				f := File{path, fmt.Sprintf("berth-%08d", i)}
				for _, e := range [][]Entry{web("a"), nil, web("b")} {
					if err := f.Set(e); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if n := strings.Count(read(t, path), "b.containers www"); n != 8 {
		t.Errorf("%d of 8 owners have lines:\n%s", n, read(t, path))
	}
}

func TestAsksResolved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		resolv, nsswitch string
		want             bool
	}{
		{"nameserver 127.0.0.53\n", "", true},
		{"nameserver 1.1.1.1\n", "hosts: files dns\n", false},
		{"nameserver 1.1.1.1\n", "hosts: files resolve [!UNAVAIL=return] dns\n", true},
		{"", "", false},
	} {
		write(t, dir+"/resolv.conf", c.resolv)
		write(t, dir+"/nsswitch.conf", c.nsswitch)
		if got := AsksResolved(dir+"/resolv.conf", dir+"/nsswitch.conf"); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
