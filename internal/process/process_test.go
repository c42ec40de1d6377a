package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nameVariable makes the test binary a process of that name, which lives until
// its input ends.
const nameVariable = "BERTH_PROCESS_TEST_NAME"

func TestMain(m *testing.M) {
	if name := os.Getenv(nameVariable); name != "" {
		if err := live(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func live(name string) error {
	if err := Rename(name); err != nil {
		return err
	}
	if name == headless {
		return liveHeadless()
	}
	fmt.Println("here")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// headless is the name of a process whose first thread ends before it does.
const headless = "headless"

func liveHeadless() error {
	if unix.Gettid() != unix.Getpid() {
		return unix.Exec("/proc/self/exe", os.Args, os.Environ()) // on the first thread
	}
	runtime.LockOSThread()
	go func() {
		for stat := ""; !strings.Contains(stat, ") Z "); runtime.Gosched() {
			b, _ := os.ReadFile("/proc/self/stat")
			stat = string(b)
		}
		fmt.Println("here")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_, _, err := unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	return err
}

// child is a process that is not waited for until the test ends.
type child struct {
	*exec.Cmd
	in io.WriteCloser
}

func start(t *testing.T, name string) child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), nameVariable+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "here\n" {
		t.Fatalf("the child says %q: %v", line, err)
	}
	return child{cmd, in}
}

func open(t *testing.T, pid int) *Process {
	t.Helper()
	p, err := Open(pid)
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAnyName gives processes names that try to be other fields of
// /proc/PID/stat.
func TestAnyName(t *testing.T) {
	t.Parallel()
	before, err := StartTime(os.Getpid())
	must(t, err)
	for _, name := range []string{"plain", ") Z 1 1", "a) R 1 (b", ")\n) Z 0", "((()))", "   ", "\n\n", "\xff\x01)"} {
		c := start(t, name)
		got, err := StartTime(c.Process.Pid)
		if err != nil || got < before {
			t.Errorf("%q started at %d (%v), this process at %d", name, got, err, before)
		}
		if again, err := StartTime(c.Process.Pid); err != nil || again != got {
			t.Errorf("%q started at %d, and at %d (%v)", name, got, again, err)
		}
		if parent, err := Parent(c.Process.Pid); err != nil || parent != os.Getpid() {
			t.Errorf("%q has the parent %d (%v), not %d", name, parent, err, os.Getpid())
		}
		p, err := OpenStarted(c.Process.Pid, got)
		must(t, err)
		must(t, p.Close())
		if _, err := OpenStarted(c.Process.Pid, got+1); err != unix.ESRCH {
			t.Errorf("%q is taken for one that started later: %v", name, err)
		}
	}
}

// A process with threads looks like a zombie for a moment when one of them that
// is not the first becomes a program.
func TestHeadlessLives(t *testing.T) {
	t.Parallel()
	c := start(t, headless)
	at, err := StartTime(c.Process.Pid)
	must(t, err)
	p, err := OpenStarted(c.Process.Pid, at)
	must(t, err)
	must(t, c.in.Close())
	must(t, p.Await(t.Context()))
	if _, err := StartTime(c.Process.Pid); err == nil {
		t.Error("it has ended")
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	c := start(t, "child")
	p := open(t, c.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- p.Await(t.Context()) }()
	must(t, p.Signal(unix.SIGTERM))
	must(t, <-ended)
	must(t, p.Await(t.Context())) // and again
}

func TestAwaitGivesUp(t *testing.T) {
	t.Parallel()
	c := start(t, "child")
	p := open(t, c.Process.Pid)
	p.File().Fd() // makes it block
	why := errors.New("no patience")
	for range 100 {
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error, 1)
		go func() { got <- p.Await(ctx) }()
		cancel(why)
		if err := <-got; err != why {
			t.Fatalf("the process lives, and Await says: %v", err)
		}
	}
	var closed atomic.Bool
	got := make(chan error, 1)
	go func() { // what gave up before is forgotten
		err := p.Await(t.Context())
		if err == nil && !closed.Load() {
			err = errors.New("the process lives, and Await says that it has ended")
		}
		got <- err
	}()
	runtime.Gosched()
	closed.Store(true)
	must(t, c.in.Close())
	must(t, <-got)
}

// TestAwaitOfMany has some wait for one process, half of whom give up.
func TestAwaitOfMany(t *testing.T) {
	t.Parallel()
	c := start(t, "child")
	p := open(t, c.Process.Pid)
	ctx, cancel := context.WithCancel(t.Context())
	var patient, others sync.WaitGroup
	var closed atomic.Bool
	for range 5 {
		patient.Go(func() {
			if err := p.Await(t.Context()); err != nil {
				t.Errorf("the process has ended, and Await says: %v", err)
			} else if !closed.Load() {
				t.Error("the process lives, and Await says that it has ended")
			}
		})
		others.Go(func() {
			if err := p.Await(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("the process lives, and Await says: %v", err)
			}
		})
	}
	cancel()
	others.Wait()
	closed.Store(true)
	must(t, c.in.Close())
	patient.Wait()
}

// TestEnded looks at a process that is a zombie, and then at one that is gone.
func TestEnded(t *testing.T) {
	t.Parallel()
	c := start(t, "child")
	began, err := StartTime(c.Process.Pid)
	must(t, err)
	p := open(t, c.Process.Pid)
	must(t, c.in.Close())
	must(t, p.Await(t.Context()))

	if _, err := StartTime(c.Process.Pid); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("of a zombie: %v", err)
	}
	if _, err := OpenStarted(c.Process.Pid, began); err != unix.ESRCH {
		t.Errorf("a zombie is opened: %v", err)
	}
	must(t, p.Signal(unix.SIGKILL))

	must(t, c.Wait())
	if _, err := StartTime(c.Process.Pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of one that is gone: %v", err)
	}
	if _, err := Open(c.Process.Pid); err != unix.ESRCH {
		t.Errorf("one that is gone is opened: %v", err)
	}
	must(t, p.Signal(unix.SIGKILL))
	must(t, p.Await(t.Context()))
}

func TestSignal(t *testing.T) {
	t.Parallel()
	c := start(t, "child")
	p := open(t, c.Process.Pid)
	if err := p.Signal(9999); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a signal that there is not: %v", err)
	}
	must(t, p.Signal(unix.SIGKILL))
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.String() != "signal: killed" {
		t.Errorf("the child ended with: %v", err)
	}
	must(t, p.Close())
	if err := p.Signal(unix.SIGKILL); err == nil {
		t.Error("a process that was let go of can be signalled")
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for _, pid := range []int{0, -1} {
		if _, err := Open(pid); err == nil {
			t.Errorf("PID %d is opened", pid)
		}
	}
}

func TestStarted(t *testing.T) {
	t.Parallel()
	before := time.Now()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	at, err := Started(cmd.Process.Pid)
	if gap := at.Sub(before).Abs(); err != nil || gap > 10*time.Second {
		t.Errorf("it started at %v, %v from now (%v)", at, gap, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if _, err := Started(cmd.Process.Pid); err == nil {
		t.Error("it has ended")
	}
}
