package sieve

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func someSieve() Sieve {
	return namespace.AppendFilters(nil, [][]unix.SockFilter{{{Code: 0x20}, {Code: 6, K: 0x7fff0000}}, {{Code: 6, K: 0x7fff0000}}})
}

// TestStore gives what was kept as long as its files are the same.
func TestStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, library := Store{filepath.Join(dir, "filters")}, filepath.Join(dir, "libseccomp.so.2")
	must(t, os.WriteFile(library, []byte("one"), 0o755))
	keep := func(key string) {
		f, err := look(library)
		must(t, err)
		must(t, s.keep(kept{Key: key, Files: []file{f}, Sieve: someSieve()}))
	}
	keep("a")
	if got, known := s.Find("a"); !known || !bytes.Equal(got, someSieve()) {
		t.Fatalf("got %v, %v", got, known)
	}
	if info, err := os.Stat(s.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info, err)
	}
	whole, err := os.ReadFile(s.path("a"))
	must(t, err)
	for what, spoil := range map[string]func(){
		"of another question": func() { must(t, os.Rename(s.path("a"), s.path("b"))) },
		"removed":             func() { must(t, os.Remove(s.path("a"))) },
		"cut":                 func() { must(t, os.WriteFile(s.path("a"), whole[:len(whole)/2], 0o600)) },
		"with other filters": func() {
			must(t, os.WriteFile(s.path("a"), bytes.Replace(whole, []byte(`"sieve": "A`), []byte(`"sieve": "B`), 1), 0o600))
		},
		"of a library that is gone": func() { must(t, os.Remove(library)) },
		"of a library that was replaced": func() {
			must(t, os.WriteFile(library+"~", []byte("one"), 0o755))
			must(t, os.Rename(library+"~", library))
		},
		"of a library that was changed": func() { must(t, os.WriteFile(library, []byte("two2"), 0o755)) },
	} {
		must(t, os.WriteFile(library, []byte("one"), 0o755))
		keep("a")
		whole, err = os.ReadFile(s.path("a"))
		must(t, err)
		spoil()
		for _, key := range []string{"a", "b"} {
			if got, known := s.Find(key); known {
				t.Errorf("%s: %s has %d bytes", what, key, len(got))
			}
		}
	}
}

// TestStoreWithoutCompiler believes no filters of which it does not know what
// made them, or that are none.
func TestStoreWithoutCompiler(t *testing.T) {
	t.Parallel()
	s := Store{t.TempDir()}
	self, err := os.Executable()
	must(t, err)
	f, err := look(self)
	must(t, err)
	must(t, s.keep(kept{Key: "a", Files: []file{f}, Sieve: someSieve()}))
	must(t, s.keep(kept{Key: "b", Sieve: someSieve()}))
	f.Path = "libseccomp.so.2"
	must(t, s.keep(kept{Key: "c", Files: []file{f}, Sieve: someSieve()[:7]}))
	for _, key := range []string{"a", "b", "c"} {
		if _, known := s.Find(key); known {
			t.Errorf("%s is believed", key)
		}
	}
	must(t, s.keep(kept{Key: "d", Files: []file{{Path: self, Device: 1}}}))
	if _, known := s.Find("d"); known {
		t.Error("nothing is to be had of a program that is another one by now")
	}
}

// TestLearnOdd: of a process whose parent does not compile filters nothing is
// kept, but that.
func TestLearnOdd(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() { in.Close(); _ = cmd.Wait() }()
	s := Store{filepath.Join(t.TempDir(), "filters")}
	if err := s.Learn(t.Context(), "a", cmd.Process.Pid); err == nil {
		t.Error("no error")
	}
	if got, known := s.Find("a"); !known || len(got) > 0 {
		t.Errorf("got %v, %v", got, known)
	}
	if err := s.Learn(t.Context(), "b", 1<<30); err == nil {
		t.Error("no error for no process")
	}
	if _, known := s.Find("b"); known {
		t.Error("something is kept of no process")
	}
}

// TestFilesOf needs a process that is linked with libraries: cat is.
func TestFilesOf(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() { in.Close(); _ = cmd.Wait() }()
	_, err = io.WriteString(in, "\n")
	must(t, err)
	_, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	maps, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "maps"))
	must(t, err)
	mapped, err := programs(string(maps))
	must(t, err)
	if len(mapped) < 2 {
		t.Errorf("cat has mapped %v", mapped)
	}
	for path, inode := range mapped {
		if f, err := look(path); err != nil || f.Inode != inode {
			t.Errorf("%s: inode %d, mapped %d, %v", path, f.Inode, inode, err)
		}
	}
	if _, err := filesOf(cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), "libseccomp") {
		t.Errorf("cat compiles filters: %v", err)
	}
	if at, err := process.Started(cmd.Process.Pid); err != nil || time.Since(at) > time.Minute {
		t.Errorf("started %v, %v", at, err)
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	const text = "55d0-55d1 r--p 00000000 fe:00 11                         /usr/bin/systemd-nspawn\n" +
		"55d1-55d2 r-xp 00001000 fe:00 11                         /usr/bin/systemd-nspawn\n" +
		"55d3-55d4 rw-p 00000000 00:00 0                          [heap]\n" +
		"7f00-7f01 r-xp 00000000 fe:00 12                         /usr/lib/with space.so\n" +
		"7f01-7f02 rw-s 00000000 00:01 13                         /memfd:x (deleted)\n" +
		"7fff-8000 r-xp 00000000 00:00 0                          [vdso]\n8000-8001 r-xp 00000000 00:00 0 \n"
	got, err := programs(text)
	if want := map[string]uint64{"/usr/bin/systemd-nspawn": 11, "/usr/lib/with space.so": 12}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{
		"55d1-55d2 r-xp 00001000 fe:00 11 /usr/lib/libseccomp.so.2 (deleted)\n",
		"55d1-55d2 r-xp 00001000 fe:00 11 /usr/lib/a\\012b\n",
		"55d1-55d2 r-xp 00001000 fe:00 x /usr/lib/a\n",
	} {
		if _, err := programs(bad); err == nil {
			t.Errorf("%q is fine", bad)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	q, err := Ask("/usr/bin/systemd-nspawn", 252, []string{"--capability=a"}, []string{"A=b"})
	must(t, err)
	if runtime.GOARCH == "amd64" && q.Kernel[2] != "x86_64" {
		t.Errorf("this is %v", q.Kernel)
	}
	keys := map[string]bool{q.Key(): true}
	for _, change := range []func(*Question){
		func(q *Question) { q.Program += "x" },
		func(q *Question) { q.Version++ },
		func(q *Question) { q.Args = []string{"--capability", "a"} },
		func(q *Question) { q.Env = nil },
		func(q *Question) { q.Kernel = []string{"6.1", q.Kernel[1], q.Kernel[2]} },
	} {
		other := q
		change(&other)
		keys[other.Key()] = true
	}
	if len(keys) != 6 {
		t.Errorf("keys %v", keys)
	}
	if strings.ContainsAny(q.Key(), "/.") {
		t.Errorf("%q is no name of a file", q.Key())
	}
	if (state.Paths{Root: "/x"}).Sieves() != "/x/run/berth/filters" {
		t.Error("filters are kept elsewhere")
	}
}
