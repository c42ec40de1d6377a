package namespace

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
)

// run runs c to its end on a thread that lives as long.
func run(t *testing.T, c *Command) int {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, err := c.Start(t.Context())
	must(t, err)
	code, err := wait(pid)
	must(t, err)
	return code
}

// factsOf runs c, which plays "facts".
func factsOf(t *testing.T, c *Command) (f Facts) {
	t.Helper()
	out := temp(t)
	c.Stdout = out
	if code := run(t, c); code != 0 {
		t.Fatalf("the program ended with %d", code)
	}
	must(t, json.Unmarshal([]byte(contentOf(t, out)), &f))
	return f
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	if code := run(t, startGuest(t).command(t, "exit")); code != 42 {
		t.Errorf("exit code %d", code)
	}
}

func TestNamespacesEntered(t *testing.T) {
	t.Parallel()
	g := startGuest(t)
	f := factsOf(t, g.command(t, "facts"))
	for _, k := range Kinds() {
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", g.Process.Pid, k.Name))
		must(t, err)
		if f.Spaces[k.Name] != theirs {
			t.Errorf("the program is in %s, the guest in %s", f.Spaces[k.Name], theirs)
		}
	}
	if f.PID > 100 {
		t.Errorf("the program has PID %d", f.PID)
	}
	if f.UIDMap != "         0     700000      65536\n" {
		t.Errorf("the program has the map %q", f.UIDMap)
	}
}

func TestArgumentsAndEnvironment(t *testing.T) {
	t.Parallel()
	c := startGuest(t).command(t, "facts")
	c.Args = []string{"-name of it", "", "a b", "--", "\n", "ä\xff", strings.Repeat("x", 100_000)}
	c.Env = append(c.Env, "EMPTY=", "A=b=c", "NEWLINE=\n", "LONG="+strings.Repeat("y", 100_000))
	c.Dir = "/proc/sys"
	f := factsOf(t, c)
	wire, err := json.Marshal(c.Args) // which is not exact about bytes that are no UTF-8
	must(t, err)
	var args []string
	must(t, json.Unmarshal(wire, &args))
	if !slices.Equal(f.Args, args) {
		t.Errorf("arguments: %.200q", f.Args)
	}
	if !slices.Equal(f.Env, c.Env) {
		t.Errorf("environment: %.200q", f.Env)
	}
	if f.Dir != "/proc/sys" {
		t.Errorf("working directory: %s", f.Dir)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	g := startGuest(t)
	const chown, mknod = 1 << unix.CAP_CHOWN, 1 << unix.CAP_MKNOD
	for _, c := range []struct {
		uid, gid  int
		groups    []int
		bounding  uint64
		effective string // of root what it may have, of others nothing
	}{
		{0, 0, nil, chown | mknod, "0000000008000001"},
		{0, 0, []int{}, 0, "0000000000000000"},
		{1000, 100, []int{7, 4, 5}, chown, "0000000000000000"},
		{65535, 65535, []int{0}, ^uint64(0), "0000000000000000"},
	} {
		cmd := g.command(t, "facts")
		cmd.UID, cmd.GID, cmd.Groups, cmd.Bounding = c.uid, c.gid, c.groups, c.bounding
		f := factsOf(t, cmd)
		slices.Sort(f.Groups)
		slices.Sort(c.groups)
		if f.UID != c.uid || f.GID != c.gid || !slices.Equal(f.Groups, c.groups) {
			t.Errorf("%+v: %d, %d, %v", c, f.UID, f.GID, f.Groups)
		}
		for _, k := range []string{"Uid", "Gid"} { // real, effective, saved, file system
			if ids := strings.Fields(f.Status[k]); len(slices.Compact(ids)) != 1 {
				t.Errorf("%+v: %s is %v", c, k, ids)
			}
		}
		bounding := fmt.Sprintf("%016x", c.bounding)
		if c.bounding == ^uint64(0) {
			bounding = f.Status["CapBnd"]
		}
		if f.Status["CapBnd"] != bounding || f.Status["CapEff"] != c.effective || f.Status["CapPrm"] != c.effective {
			t.Errorf("%+v: bounding %s, effective %s, permitted %s", c, f.Status["CapBnd"], f.Status["CapEff"], f.Status["CapPrm"])
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	c := startGuest(t).command(t, "echo")
	in, out, errs := temp(t), temp(t), temp(t)
	_, err := in.WriteString("x")
	must(t, err)
	_, err = in.Seek(0, 0)
	must(t, err)
	c.Stdin, c.Stdout, c.Stderr = in, out, errs
	if code := run(t, c); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if o, e := contentOf(t, out), contentOf(t, errs); o != "out x" || e != "err x" {
		t.Errorf("output %q, errors %q", o, e)
	}
}

// TestStreamsAmongThemselves gives the program this process's own standard
// streams in another order.
func TestStreamsAmongThemselves(t *testing.T) {
	t.Parallel()
	out := temp(t)
	c := startGuest(t).command(t, "echo")
	c.Stdout, c.Stderr = out, out
	if code := run(t, c); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if o := contentOf(t, out); o != "out err " {
		t.Errorf("output %q", o)
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer master.Close()
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer slave.Close()
	c := startGuest(t).command(t, "facts")
	c.Stdin, c.Terminal, c.NewSession = slave, true, false
	if f := factsOf(t, c); !f.Terminal || f.Session != f.PID {
		t.Errorf("a controlling terminal: %v, session %d of %d", f.Terminal, f.Session, f.PID)
	}
}

func TestCgroups(t *testing.T) {
	t.Parallel()
	h, err := cgroup.Mounted()
	must(t, err)
	group := h.Group("berth-test-" + strings.ReplaceAll(filepath.Base(t.TempDir())+fmt.Sprint(os.Getpid()), "/", "-"))
	t.Cleanup(func() { must(t, group.Remove()) })
	must(t, group.Create())
	member := exec.Command("/proc/self/exe") // whose groups the program joins
	member.Env = []string{roleVariable + "=init"}
	in, err := member.StdinPipe()
	must(t, err)
	must(t, member.Start())
	defer func() {
		in.Close()
		_ = member.Wait()
	}()
	must(t, group.Join(member.Process.Pid))
	want, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", member.Process.Pid))
	must(t, err)

	c := startGuest(t).command(t, "facts")
	c.Flags &^= unix.CLONE_NEWCGROUP // to see the same paths
	c.Cgroups, c.CgroupDir, err = h.OpenEntrance(member.Process.Pid)
	must(t, err)
	if c.CgroupDir != nil {
		defer c.CgroupDir.Close()
	}
	for _, f := range c.Cgroups {
		defer f.Close()
	}
	if f := factsOf(t, c); f.Cgroups != string(want) {
		t.Errorf("the program is in\n%s, not in\n%s", f.Cgroups, want)
	}
}

func TestStepErrors(t *testing.T) {
	t.Parallel()
	g := startGuest(t)
	plain := temp(t)
	must(t, os.Chmod(filepath.Dir(plain.Name()), 0o755))
	ended := startEnded(t)
	cases := map[string]struct {
		change func(*Command)
		step   string
		err    error
	}{
		"no program":         {func(c *Command) { c.File, c.Paths = nil, []string{"/nowhere/x", "/dev/null/x"} }, "run", unix.ENOENT},
		"no candidates":      {func(c *Command) { c.File = nil }, "run", unix.ENOENT},
		"not executable":     {func(c *Command) { c.File, c.Paths = nil, []string{"/nowhere/x", "/etc/passwd"} }, "run", unix.EACCES},
		"a directory":        {func(c *Command) { c.File, c.Paths = nil, []string{"/etc"} }, "run", unix.EACCES},
		"file not a program": {func(c *Command) { c.File = plain }, "run", unix.EACCES},
		"no directory":       {func(c *Command) { c.Dir = "/nowhere" }, "working directory", unix.ENOENT},
		"no such directory":  {func(c *Command) { c.Dir = "/etc/passwd" }, "working directory", unix.ENOTDIR},
		"closed directory":   {func(c *Command) { c.Dir = "/root" }, "working directory", unix.EACCES},
		"no such user":       {func(c *Command) { c.UID = 70_000 }, "user", unix.EINVAL},
		"no such group":      {func(c *Command) { c.GID = 70_000 }, "group", unix.EINVAL},
		"no such groups":     {func(c *Command) { c.Groups = []int{70_000} }, "groups", unix.EINVAL},
		"not a cgroup":       {func(c *Command) { c.Cgroups = []*os.File{c.Target} }, "join cgroup", unix.EINVAL},
		"ended guest":        {func(c *Command) { c.Target = ended }, "enter namespaces", unix.ESRCH},
		"not a terminal":     {func(c *Command) { c.Terminal = true }, "terminal", unix.ENOTTY},
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		cmd := g.command(t, "exit")
		c.change(cmd)
		pid, err := cmd.Start(t.Context())
		var step *StepError
		if pid != 0 || !errors.As(err, &step) || step.Step != c.step || !errors.Is(err, c.err) {
			t.Errorf("%s: PID %d, %v", name, pid, err)
		}
	}
}

// startEnded is a pidfd of a process that has ended.
func startEnded(t *testing.T) *os.File {
	t.Helper()
	cmd := exec.Command("true")
	must(t, cmd.Start())
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	must(t, err)
	must(t, cmd.Wait())
	f := os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() { f.Close() })
	return f
}

func TestZeroBytes(t *testing.T) {
	t.Parallel()
	g := startGuest(t)
	for name, change := range map[string]func(*Command){
		"path":      func(c *Command) { c.Paths = []string{"/bin/sh\x00"} },
		"argument":  func(c *Command) { c.Args = []string{"a\x00"} },
		"variable":  func(c *Command) { c.Env = []string{"A=\x00"} },
		"directory": func(c *Command) { c.Dir = "/\x00" },
	} {
		c := g.command(t, "exit")
		change(c)
		if pid, err := c.Start(t.Context()); err == nil || pid != 0 {
			t.Errorf("a %s with a zero byte: PID %d, %v", name, pid, err)
		}
	}
}

// TestPathIsTheFirstThatExists runs a program by its path.
func TestPathIsTheFirstThatExists(t *testing.T) {
	t.Parallel()
	c := startGuest(t).command(t, "")
	c.File, c.Paths, c.Args = nil, []string{"/nowhere/sh", "/bin/sh", "/bin/false"}, []string{"sh", "-c", "exit 9"}
	if code := run(t, c); code != 9 {
		t.Errorf("exit code %d", code)
	}
}

// TestEndsWithItsThread lets the thread that started a program end.
func TestEndsWithItsThread(t *testing.T) {
	t.Parallel()
	c := startGuest(t).command(t, "init")
	r, w, err := os.Pipe() // input that never ends
	must(t, err)
	defer r.Close()
	defer w.Close()
	c.Stdin = r
	started := make(chan int, 1)
	go onMortalThread(func() {
		pid, err := c.Start(t.Context())
		if err != nil {
			t.Error(err)
		}
		started <- pid
	})
	if pid := <-started; pid != 0 {
		if _, err := wait(pid); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("the program: %v", err)
		}
	}
}

// onMortalThread calls f on a thread that ends with it, as the first thread of
// a Go program does not.
func onMortalThread(f func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if unix.Gettid() != os.Getpid() {
		f()
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		f()
	}()
	<-ended
}

// TestNoOtherFiles leaves a file open for every child, as a shell that starts
// berth may: it is none of the guest's business.
func TestNoOtherFiles(t *testing.T) {
	t.Parallel()
	secret := temp(t)
	fd, err := unix.Dup(int(secret.Fd())) // without FD_CLOEXEC
	must(t, err)
	defer unix.Close(fd)
	c := startGuest(t).command(t, "sh")
	out := temp(t)
	c.File, c.Paths, c.Args, c.Stdout = nil, []string{"/bin/sh"}, []string{"sh", "-c", "exec ls -l /proc/self/fd"}, out
	c.Env = []string{"PATH=/usr/bin:/bin"}
	if code := run(t, c); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s := contentOf(t, out); strings.Count(s, " -> ") != 4 || !strings.Contains(s, out.Name()) { // three, and the directory that ls reads
		t.Errorf("the program has these files open:\n%s", s)
	}
}
