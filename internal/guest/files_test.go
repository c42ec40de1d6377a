package guest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree is a guest that is nothing but files, and the directory of them.
func tree(t *testing.T) (*Guest, string) {
	t.Helper()
	outer := t.TempDir()
	dir := filepath.Join(outer, "root")
	must(t, os.MkdirAll(dir+"/etc", 0o755))
	must(t, os.WriteFile(outer+"/secret", []byte("root:x:0:0::/host:/host"), 0o600))
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	return &Guest{root: root}, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestReadFileStaysInside lays a guest's passwd as something that leads out,
// blocks, or never ends.
func TestReadFileStaysInside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lay  func(path string) error
		want string // of the error; empty: the file is read
	}{
		"a link out":       {func(p string) error { return os.Symlink("../../secret", p) }, "no such file"},
		"an absolute link": {func(p string) error { return os.Symlink("/../../../../etc/hostname", p) }, "no such file"},
		"a link to a link": {func(p string) error {
			return errors.Join(os.Symlink("..", p+"1"), os.Symlink("passwd1/../../secret", p))
		}, "no such file"},
		"a circle":    {func(p string) error { return os.Symlink("passwd", p) }, "too many levels"},
		"a FIFO":      {func(p string) error { return unix.Mkfifo(p, 0o644) }, "not a regular file"},
		"a directory": {func(p string) error { return os.Mkdir(p, 0o755) }, "not a regular file"},
		"a device":    {func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) }, "not a regular file"},
		"a link on the inside": {func(p string) error {
			return errors.Join(os.WriteFile(p+"1", []byte("x"), 0o644), os.Symlink("/etc/passwd1", p))
		}, ""},
		"a file": {func(p string) error { return os.WriteFile(p, []byte("x"), 0) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, dir := tree(t)
			must(t, c.lay(dir+"/etc/passwd"))
			b, err := g.readFile("etc/passwd")
			if c.want == "" && (err != nil || string(b) != "x") {
				t.Errorf("got %q, %v", b, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || len(b) > 0) {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}
}

func TestReadFileOfAnySize(t *testing.T) {
	t.Parallel()
	g, dir := tree(t)
	must(t, os.WriteFile(dir+"/big", nil, 0o644))
	must(t, os.Truncate(dir+"/big", 1<<40))
	if b, err := g.readFile("big"); err != nil || len(b) != maxFile {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	g, dir := tree(t)
	if a, err := g.Account("root"); err != nil || a.Home != "/root" || a.UID != 0 {
		t.Errorf("root of a guest without users: %+v, %v", a, err)
	}
	if a, err := g.Account("web"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a user of a guest without users: %+v, %v", a, err)
	}
	must(t, os.WriteFile(dir+"/etc/passwd", []byte(passwd), 0o644))
	must(t, os.WriteFile(dir+"/etc/group", []byte("wheel:x:10:web\n"), 0o644))
	if a, err := g.Account("web"); err != nil || a.UID != 1000 || len(a.Groups) != 1 || a.Groups[0] != 10 {
		t.Errorf("got %+v, %v", a, err)
	}
	if a, err := g.Account("nowhere"); err == nil || !strings.Contains(err.Error(), `no user "nowhere"`) {
		t.Errorf("got %+v, %v", a, err)
	}
}

// TestFalseMultiplexer has a guest whose terminals are something else.
func TestFalseMultiplexer(t *testing.T) {
	t.Parallel()
	for name, lay := range map[string]func(path string) error{
		"missing":                 func(string) error { return nil },
		"a file":                  func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"a FIFO":                  func(p string) error { return unix.Mkfifo(p, 0o644) },
		"the null device":         func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))) },
		"a multiplexer elsewhere": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(5, 2))) },
		"a link to the host's":    func(p string) error { return os.Symlink("/../../../../../../dev/pts/ptmx", p) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, dir := tree(t)
			must(t, os.MkdirAll(dir+"/dev/pts", 0o755))
			must(t, lay(dir+"/dev/pts/ptmx"))
			master, slave, err := g.openTerminal(0)
			if err == nil {
				master.Close()
				slave.Close()
				t.Error("taken for a terminal")
			}
		})
	}
}

// TestSelf wants a copy of this program that nobody can change.
func TestSelf(t *testing.T) {
	t.Parallel()
	f, err := Self()
	must(t, err)
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("it can be written to: %v", err)
	}
	for _, size := range []int64{0, 1 << 40} {
		if err := f.Truncate(size); !errors.Is(err, unix.EPERM) {
			t.Errorf("it can be made %d bytes long: %v", size, err)
		}
	}
	want, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	_, err = f.Seek(0, io.SeekStart)
	must(t, err)
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d: %v", len(got), len(want), err)
	}
}

// TestReadlink reads links of a guest, and never what lies outside of it.
func TestReadlink(t *testing.T) {
	t.Parallel()
	g, dir := tree(t)
	must(t, errors.Join(os.Mkdir(dir+"/run", 0o755), os.Symlink("/nix/store/x", dir+"/run/current-system"), os.Symlink("../..", dir+"/out")))
	if got, err := g.Readlink("run/current-system"); err != nil || got != "/nix/store/x" {
		t.Errorf("%q, %v", got, err)
	}
	for _, path := range []string{"run", "run/none", "out/secret", "etc"} {
		if got, err := g.Readlink(path); err == nil {
			t.Errorf("%s: %q", path, got)
		}
	}
}
