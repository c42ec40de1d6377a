package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/process"
)

// initVariable makes the test binary the init of a guest: it lives until its
// input ends.
const initVariable = "BERTH_GUEST_TEST_INIT"

func TestMain(m *testing.M) {
	if os.Getenv(initVariable) != "" {
		fmt.Println("here")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

// running is a guest with the files of the host and namespaces of its own.
func running(t *testing.T) *Guest {
	t.Helper()
	flags := 0
	for _, k := range namespace.Kinds() {
		flags |= k.Flag
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stderr = []string{initVariable + "=1"}, os.Stderr
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 700_000, Size: 1 << 16}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(flags), UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{}}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	if err := cmd.Start(); err != nil {
		t.Fatalf("these tests make namespaces, as root: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	start, err := process.StartTime(cmd.Process.Pid)
	must(t, err)
	h, err := cgroup.Mounted()
	must(t, err)
	g, err := Hold(cmd.Process.Pid, start, h)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	if _, err := Open(cmd.Process.Pid, start+1, h); !errors.Is(err, ErrEnded) {
		t.Errorf("another process is taken for the guest: %v", err)
	}
	if _, err := Open(cmd.Process.Pid, start, h); !errors.Is(err, ErrNoRoot) {
		t.Errorf("an init that still has the host's root is taken for the guest: %v", err)
	}
	return g
}

// run runs c with input and returns its exit code and what it wrote.
func run(t *testing.T, g *Guest, c Command, input string) (code int, output string, err error) {
	t.Helper()
	in, feed, err := os.Pipe()
	must(t, err)
	defer in.Close()
	_, err = feed.WriteString(input)
	must(t, errors.Join(err, feed.Close()))
	out, err := os.CreateTemp(t.TempDir(), "out")
	must(t, err)
	defer out.Close()
	c.Stdin, c.Stdout, c.Stderr = in, out, out
	code, err = g.Exec(t.Context(), c)
	b, readErr := os.ReadFile(out.Name())
	must(t, readErr)
	return code, string(b), err
}

func TestExec(t *testing.T) {
	t.Parallel()
	g := running(t)
	for _, c := range []struct {
		name  string
		c     Command
		input string
		code  int
		out   string
		err   string
	}{
		{"code", Command{Args: []string{"sh", "-c", "exit 7"}}, "", 7, "", ""},
		{"signal", Command{Args: []string{"sh", "-c", "kill -9 $$"}}, "", 128 + 9, "", ""},
		{"input", Command{Args: []string{"cat"}}, "text", 0, "text", ""},
		{"path", Command{Args: []string{"/bin/sh", "-c", "echo $0 $1", "a b", "c"}}, "", 0, "a b c\n", ""},
		{"name", Command{Args: []string{"sh", "-c", "read -r x </proc/self/cmdline; echo $x"}, Name: "other"}, "", 0, "other-cread -r x </proc/self/cmdline; echo $x\n", ""},
		{"identity", Command{Args: []string{"sh", "-c", "id -u; pwd; echo $HOME $USER"}}, "", 0, "0\n/\n/root root\n", ""},
		{"user", Command{Args: []string{"id", "-u"}, User: "12345", Dir: "/"}, "", 0, "12345\n", ""},
		{"environment", Command{Args: []string{"sh", "-c", "echo $A $container"}, Env: []string{"A=b=c"}}, "", 0, "b=c systemd-nspawn\n", ""},
		{"directory", Command{Args: []string{"pwd"}, Dir: "/proc"}, "", 0, "/proc\n", ""},
		{"missing", Command{Args: []string{"no-such-program"}}, "", CodeNotFound, "", "no-such-program: the guest has no such program"},
		{"missing path", Command{Args: []string{"/nowhere"}}, "", CodeNotFound, "", "/nowhere: the guest has no such program"},
		{"not executable", Command{Args: []string{"/etc/passwd"}}, "", CodeNotExecutable, "", "/etc/passwd: permission denied"},
		{"no directory", Command{Args: []string{"true"}, Dir: "/nowhere"}, "", CodeFailed, "", "working directory /nowhere: no such file or directory"},
		{"no user", Command{Args: []string{"true"}, User: "no-such-user"}, "", CodeFailed, "", `the guest has no user "no-such-user"`},
		{"nothing", Command{}, "", CodeFailed, "", "no command is given"},
	} {
		if c.c.Dir == "" {
			c.c.Dir = "/" // the host's /root is closed to the guest
		}
		code, out, err := run(t, g, c.c, c.input)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if code != c.code || out != c.out || text != c.err {
			t.Errorf("%s: code %d, output %q, error %q", c.name, code, out, text)
		}
	}
}

// TestExecPrivileges wants the program to have no more than the guest's init.
func TestExecPrivileges(t *testing.T) {
	t.Parallel()
	g := running(t)
	code, out, err := run(t, g, Command{Args: []string{"cat", "/proc/self/status", "/proc/self/cgroup"}, Dir: "/"}, "")
	if code != 0 || err != nil {
		t.Fatal(code, err)
	}
	init, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.leader.PID))
	must(t, err)
	field := func(s, name string) string {
		for line := range strings.Lines(s) {
			if v, ok := strings.CutPrefix(line, name+":"); ok {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	for _, f := range []string{"CapBnd", "CapEff", "NoNewPrivs"} {
		if got, want := field(out, f), field(string(init), f); got != want || want == "" {
			t.Errorf("%s is %q, not %q", f, got, want)
		}
	}
	if strings.Contains(out, ":/..") {
		t.Errorf("it is not in the guest's cgroups:\n%s", out)
	}
}

func TestExecTerminal(t *testing.T) {
	t.Parallel()
	g := running(t)
	code, out, err := run(t, g, Command{Args: []string{"sh", "-c", "test -t 0 && test -t 1 && test -t 2 && cat; exit 5"}, Dir: "/", Terminal: true}, "line\n")
	if code != 5 || err != nil || !strings.Contains(out, "line\r\n") {
		t.Errorf("code %d, output %q: %v", code, out, err)
	}
}

// TestExecSignals passes a signal on, when the program says that it is there.
func TestExecSignals(t *testing.T) {
	t.Parallel()
	g := running(t)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	signals := make(chan os.Signal, 1)
	ended := make(chan int, 1)
	go func() {
		code, err := g.Exec(t.Context(), Command{Args: []string{"sh", "-c", "trap 'exit 33' USR1; echo here; while :; do sleep 0.01; done"}, Dir: "/",
			Stdin: null, Stdout: w, Stderr: w, Signals: func() <-chan os.Signal { return signals }})
		if err != nil {
			t.Error(err)
		}
		ended <- code
	}()
	_, err = bufio.NewReader(r).ReadString('\n')
	must(t, err)
	signals <- unix.SIGUSR1
	if code := <-ended; code != 33 {
		t.Errorf("exit code %d", code)
	}
	must(t, w.Close())
}

// TestExecCancelled kills the program with its context.
func TestExecCancelled(t *testing.T) {
	t.Parallel()
	g := running(t)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	ctx, cancel := context.WithCancel(t.Context())
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := g.Exec(ctx, Command{Args: []string{"sh", "-c", "echo here; exec sleep 1000"}, Dir: "/", Stdin: null, Stdout: w, Stderr: w})
		ended <- end{code, err}
	}()
	_, err = bufio.NewReader(r).ReadString('\n')
	must(t, err)
	cancel()
	switch e := <-ended; { // it may run before we know
	case e.code == 128+9 && e.err == nil, e.code == CodeFailed && errors.Is(e.err, context.Canceled):
	default:
		t.Errorf("exit code %d, %v", e.code, e.err)
	}
	must(t, w.Close())
	if _, err := io.ReadAll(r); err != nil { // which ends with the program
		t.Error(err)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	for program, want := range map[string][]string{
		"/bin/sh": {"/bin/sh"}, "./a": {"./a"}, "a/b": {"a/b"}, "/": {"/"}, "../x": {"../x"},
	} {
		if got := candidates(program); !slices.Equal(got, want) {
			t.Errorf("%s: %q", program, got)
		}
	}
	got := candidates("sh")
	if len(got) != strings.Count(SearchPath, ":")+1 || got[0] != "/run/wrappers/bin/sh" || !slices.Contains(got, "/usr/bin/sh") {
		t.Errorf("sh: %q", got)
	}
	for _, p := range candidates("..") {
		if !strings.HasSuffix(p, "/..") || !strings.HasPrefix(p, "/") {
			t.Errorf("..: %q", p)
		}
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("x"), CodeFailed},
		{fs.ErrNotExist, CodeFailed},
		{&namespace.StepError{Step: "run", Err: unix.ENOENT}, CodeNotFound},
		{&namespace.StepError{Step: "run", Err: unix.EACCES}, CodeNotExecutable},
		{&namespace.StepError{Step: "run", Err: unix.ENOEXEC}, CodeNotExecutable},
		{&namespace.StepError{Step: "working directory", Err: unix.ENOENT}, CodeFailed},
		{fmt.Errorf("wrapped: %w", &namespace.StepError{Step: "run", Err: unix.ENOENT}), CodeNotFound},
	} {
		if got := codeOf(c.err); got != c.want {
			t.Errorf("%v: %d, not %d", c.err, got, c.want)
		}
	}
}

// TestForeground has caught signals before a program starts: one that comes then
// does not end this process.
func TestForeground(t *testing.T) {
	t.Setenv("TERM", "vt100")
	c := Command{Terminal: true, Env: []string{"A=1"}}.Foreground()
	if want := []string{"TERM=vt100", "A=1"}; !slices.Equal(c.Env, want) {
		t.Errorf("environment %q, want %q", c.Env, want)
	}
	signals := c.caught()
	must(t, unix.Kill(os.Getpid(), unix.SIGUSR1))
	if s := <-signals; s != unix.SIGUSR1 {
		t.Errorf("signal %v", s)
	}
}
