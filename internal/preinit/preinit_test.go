package preinit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
)

// roleVariable makes the test binary play the first process of a guest.
const roleVariable = "BERTH_PREINIT_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(roleVariable)
	t, ok := parse(os.Args[2:])
	if !ok {
		os.Exit(2)
	}
	if err := t.run(os.Args[1]); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	}
	os.Exit(1)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// first is the first process of a guest, in a network namespace of its own.
func first(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{dir}, args...)...)
	cmd.Env = []string{roleVariable + "=1", "NOTIFY_SOCKET=" + dir + "/notify", "GREETING=hello"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	return cmd
}

// TestGate lets a program become another, with its arguments and environment,
// after its network namespace was seen from outside.
func TestGate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gate, err := Listen(dir, os.Getuid())
	must(t, err)
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	must(t, err)
	defer notify.Close()
	var other bool
	served := make(chan error)
	go func() {
		served <- gate.Serve(func(netns *os.File) (Settings, error) {
			own, err1 := os.Stat("/proc/self/ns/net")
			its, err2 := netns.Stat()
			other = err1 == nil && err2 == nil && !os.SameFile(own, its)
			return Settings{}, nil
		}, func(err error) { t.Error(err) })
	}()
	out, err := first(dir, announce, "/bin/sh", "-c", `echo "$0 $1 $GREETING"; ls /proc/self/fd; exec grep "^Sig[BIC]" /proc/self/status`, "zero", "one").CombinedOutput()
	must(t, err)
	must(t, <-served)
	plain, err := exec.Command("/bin/sh", "-c", `ls /proc/self/fd; exec grep "^Sig[BIC]" /proc/self/status`).Output()
	must(t, err)
	if want := "zero one hello\n" + string(plain); string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if !other {
		t.Error("the gate saw its own network namespace")
	}
	b := make([]byte, 100)
	n, err := notify.Read(b)
	must(t, err)
	if string(b[:n]) != "READY=1" {
		t.Errorf("it said %q", b[:n])
	}
	must(t, gate.Close())
}

// TestGateErrors: both sides know why a guest does not start.
func TestGateErrors(t *testing.T) {
	t.Parallel()
	why := errors.New("no bridge")
	for want, c := range map[string]struct {
		attach error
		init   string
		end    func(*Gate) error
	}{
		"the guest's network was not set up: no bridge":               {attach: why, init: "/bin/true"},
		"start /nothing: no such file or directory":                   {init: "/nothing"},
		"the guest's network was not set up: who was at it has ended": {end: (*Gate).hangUp, init: "/bin/true"},
		"ask for the guest's network: dial unix":                      {end: (*Gate).Close, init: "/bin/true"},
	} {
		dir := t.TempDir()
		gate, err := Listen(dir, os.Getuid())
		must(t, err)
		var told []string
		served := make(chan error, 1)
		go func() {
			if c.end != nil {
				served <- c.end(gate)
				return
			}
			served <- gate.Serve(func(*os.File) (Settings, error) { return Settings{}, c.attach }, func(err error) { told = append(told, err.Error()) })
		}()
		if c.end != nil && strings.HasPrefix(want, "ask") {
			must(t, <-served)
			served <- nil
		}
		out, err := first(dir, c.init).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: it said %q, %v", want, out, err)
		}
		err = <-served
		if c.end == nil && (err == nil || !slices.Equal(told, []string{err.Error()}) || !strings.Contains(want, err.Error())) {
			t.Errorf("%s: the host was told %q, %v", want, told, err)
		}
		_ = gate.Close()
	}
}

// hangUp ends a connection as a process does that is killed.
func (g *Gate) hangUp() error {
	c, err := g.listener.Accept()
	if err != nil {
		return err
	}
	return c.Close()
}

func TestGateClosed(t *testing.T) {
	t.Parallel()
	gate, err := Listen(t.TempDir(), os.Getuid())
	must(t, err)
	f, err := gate.File()
	must(t, err)
	heir, err := Inherited(f)
	must(t, err)
	must(t, errors.Join(gate.Close(), heir.Close()))
	if err := heir.Serve(nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// guestTree makes files by their paths: "-> TARGET" is a link, "fifo" a pipe.
func guestTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		at := filepath.Join(dir, path)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		switch to, link := strings.CutPrefix(text, "-> "); {
		case link:
			must(t, os.Symlink(to, at))
		case text == "fifo":
			must(t, unix.Mkfifo(at, 0o644))
		case text == "dir":
			must(t, os.Mkdir(at, 0o755))
		default:
			must(t, os.WriteFile(at, []byte(text), 0o644))
		}
	}
	return dir
}

// TestWrite puts settings into guests of all sorts.
func TestWrite(t *testing.T) {
	t.Parallel()
	s := Settings{Resolver: "nameserver 10.0.0.1\n", Files: []File{{Path: "/run/x/y", Text: "text"}, {Path: "/etc/hosts", Text: "ours", Missing: true}}}
	for name, c := range map[string]struct {
		files map[string]string
		want  map[string]string
		errs  int
	}{
		"bare":       {nil, map[string]string{"run/x/y": "text", "etc/hosts": "ours", "etc/resolv.conf": s.Resolver}, 0},
		"with files": {map[string]string{"etc/hosts": "its own", "etc/resolv.conf": "nameserver 9.9.9.9\noptions that are longer\n"}, map[string]string{"etc/hosts": "its own", "etc/resolv.conf": s.Resolver}, 0},
		"resolved":   {map[string]string{"etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf"}, map[string]string{"run/systemd/resolve/stub-resolv.conf": s.Resolver}, 0},
		"resolvconf": {map[string]string{"etc/resolv.conf": "-> /run/resolvconf/resolv.conf"}, map[string]string{"run/resolvconf/resolv.conf": s.Resolver, "run/resolvconf/interface/eth0.berth": s.Resolver}, 0},
		"odd":        {map[string]string{"etc/resolv.conf": "fifo", "run/x": "a file"}, map[string]string{"etc/hosts": "ours"}, 2},
		"odder":      {map[string]string{"etc/resolv.conf": "dir", "etc/hosts": "-> nowhere"}, map[string]string{"run/x/y": "text"}, 1},
		"no etc":     {map[string]string{"etc": "a file"}, map[string]string{"run/x/y": "text"}, 2},
	} {
		root := guestTree(t, c.files)
		for range 2 {
			if errs := s.write(root); len(errs) != c.errs {
				t.Errorf("%s: %v", name, errs)
			}
			for path, want := range c.want {
				if b, err := os.ReadFile(filepath.Join(root, path)); err != nil || string(b) != want {
					t.Errorf("%s: %s says %q, %v", name, path, b, err)
				}
			}
		}
		if target, link := strings.CutPrefix(c.files["etc/resolv.conf"], "-> "); link {
			if got, err := os.Readlink(filepath.Join(root, "etc/resolv.conf")); err != nil || got != target {
				t.Errorf("%s: the link leads to %q, %v", name, got, err)
			}
		}
	}
}

// TestClient starts a DHCP client where the guest would not.
func TestClient(t *testing.T) {
	t.Parallel()
	const wants = "run/systemd/system/multi-user.target.wants/systemd-networkd.service"
	for name, c := range map[string]struct {
		files map[string]string
		woken bool
		errs  int
	}{
		"networkd, not enabled":     {map[string]string{"usr/lib/systemd/system/systemd-networkd.service": "", "etc/passwd": ""}, true, 0},
		"networkd, enabled":         {map[string]string{"lib/systemd/system/systemd-networkd.service": "", "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": ""}, false, 0},
		"ifupdown":                  {map[string]string{"usr/lib/systemd/system/systemd-networkd.service": "", "etc/network/interfaces": "auto eth0\niface eth0 inet dhcp\n"}, false, 0},
		"none":                      {map[string]string{"etc/passwd": ""}, false, 1},
		"a pipe":                    {map[string]string{"etc/passwd": "", "etc/network/interfaces": "fifo"}, false, 1},
		"NixOS, for the first time": {nil, false, 0},
	} {
		root := guestTree(t, c.files)
		for range 2 {
			if errs := (Settings{Client: "eth0"}).write(root); len(errs) != c.errs {
				t.Errorf("%s: %v", name, errs)
			}
		}
		if _, err := os.Readlink(filepath.Join(root, wants)); (err == nil) != c.woken {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestArgs(t *testing.T) {
	t.Parallel()
	for _, want := range []Task{
		{Init: []string{"/sbin/init"}},
		{Init: []string{"/sbin/init", "--ready"}, Announce: true},
		{Init: []string{"/a"}, Gateless: true, Filters: "0123"},
		{Init: []string{"/a"}, Announce: true, Gateless: true, Filters: "0123"},
		{Init: []string{"/nix/store/a/init"}, Gateless: true, Nix: "/nix/store/a"},
	} {
		args := want.Args()
		if got, ok := parse(args[2:]); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", args, got, ok)
		}
		if !Begun([]byte(strings.Join(args, "\x00") + "\x00")) {
			t.Errorf("%q is not seen", args)
		}
	}
	for _, bad := range []string{"", "init", "--ready", "--ready init", "--filters= /a", "--nix= /a", "--other /a"} {
		if got, ok := parse(strings.Fields(bad)); ok {
			t.Errorf("%q: got %+v", bad, got)
		}
	}
	for _, other := range []string{"", "/sbin/init\x00", Dir + "/" + Program + "\x00", Dir + "/" + Program + "\x00" + Command} {
		if Begun([]byte(other)) {
			t.Errorf("%q has still to become the init", other)
		}
	}
}

// TestFilters: the init runs below the filters that were chosen, or not at all.
func TestFilters(t *testing.T) {
	t.Parallel()
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000} // SECCOMP_RET_ALLOW
	good := namespace.AppendFilters(nil, [][]unix.SockFilter{{allow}, {allow}})
	sum := func(b []byte) string {
		s := sha256.Sum256(b)
		return filtered + hex.EncodeToString(s[:])
	}
	for name, c := range map[string]struct {
		file []byte
		sum  string
		want string
	}{
		"good":         {good, sum(good), "Seccomp:\t2\nSeccomp_filters:\t2\n"},
		"without":      {good, "", "Seccomp:\t0\nSeccomp_filters:\t0\n"},
		"no file":      {nil, sum(good), "install the guest's system call filters: open "},
		"another file": {good[:12], sum(good), "their file is not the one that was chosen"},
		"an odd file":  {good[:7], sum(good[:7]), "this is not a list of system call filters"},
		"none in it":   {[]byte{}, sum(nil), "install the guest's system call filters: there are none"},
	} {
		dir := t.TempDir()
		if c.file != nil {
			must(t, os.WriteFile(dir+"/"+Filters, c.file, 0o644))
		}
		args := []string{gateless}
		if c.sum != "" {
			args = append(args, c.sum)
		}
		out, err := first(dir, append(args, "/bin/grep", "^Seccomp", "/proc/self/status")...).CombinedOutput()
		if !strings.Contains(string(out), c.want) || (err == nil) != strings.HasPrefix(c.want, "Seccomp") {
			t.Errorf("%s: it said %q, %v", name, out, err)
		}
	}
}
