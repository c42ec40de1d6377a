package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

// roleVariable makes the test binary a member of a group, which answers to
// lines.
const roleVariable = "BERTH_CGROUP_TEST_MEMBER"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		member()
		return
	}
	os.Exit(m.Run())
}

// member does what each line of its input says, and answers with a line.
func member() {
	type block struct {
		next *block
		b    [1 << 20]byte
	}
	var kept *block
	for sc := bufio.NewScanner(os.Stdin); sc.Scan(); {
		word, arg, _ := strings.Cut(sc.Text(), " ")
		switch word {
		case "ping":
			fmt.Println("pong")
		case "fork": // into processes that live for long
			var err error
			for range 3 {
				err = errors.Join(err, exec.Command("sleep", "1000").Start())
			}
			fmt.Println(err)
		case "open":
			f, err := os.Open(arg)
			if err == nil {
				err = f.Close()
			}
			fmt.Println(err)
		case "hold": // 16 MiB
			for range 16 {
				kept = &block{next: kept}
				for i := 0; i < len(kept.b); i += 4096 {
					kept.b[i] = 1
				}
			}
			fmt.Println("held")
		case "take": // memory until it is killed
			for {
				kept = &block{next: kept}
				for i := 0; i < len(kept.b); i += 4096 {
					kept.b[i] = 1
				}
			}
		}
	}
	runtime.KeepAlive(kept)
}

// limit is more time than anything here takes.
const limit = 20 * time.Second

func mounted(t *testing.T) Hierarchies {
	t.Helper()
	h, err := Mounted()
	if err != nil {
		t.Fatalf("these tests make control groups: %v", err)
	}
	return h
}

// newGroup is a group of this machine that is gone after the test.
func newGroup(t *testing.T) Group {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	g := mounted(t).Group(fmt.Sprintf("berth-%s-%d", name, os.Getpid()))
	t.Cleanup(func() {
		must(t, g.Kill(limit))
		must(t, g.Remove())
	})
	if err := g.Create(); err != nil {
		t.Fatalf("these tests make control groups, as root: %v", err)
	}
	return g
}

// process is a member of a group.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func join(t *testing.T, g Group) process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{roleVariable + "=1", "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	})
	must(t, g.Join(cmd.Process.Pid))
	return process{cmd, in, bufio.NewReader(out)}
}

func (p process) tell(t *testing.T, line string) {
	t.Helper()
	_, err := fmt.Fprintln(p.in, line)
	must(t, err)
}

func (p process) says(t *testing.T, want string) {
	t.Helper()
	if got, err := p.out.ReadString('\n'); strings.TrimSpace(got) != want {
		t.Errorf("it says %q, not %q: %v", got, want, err)
	}
}

func TestCreateAndRemove(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	child := g.Child("a")
	if child.Exists() {
		t.Error("a child exists before it is made")
	}
	must(t, child.Create())
	must(t, child.Create())
	must(t, g.Child("b").Child("c").Create())
	if got := g.Children(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"a", "b"}) {
		t.Errorf("children: %q", got)
	}
	g.Prune() // has children
	if !g.Exists() || !child.Exists() {
		t.Error("pruned with children")
	}
	child.Prune()
	if child.Exists() {
		t.Error("not pruned")
	}
	for range 2 {
		must(t, g.Remove())
		if g.Exists() || len(g.Children()) > 0 {
			t.Error("not removed")
		}
	}
	if pids, err := g.Procs(); err != nil || len(pids) > 0 {
		t.Errorf("processes of nothing: %v, %v", pids, err)
	}
	must(t, g.Kill(limit))
}

// TestRemoveReadOnly: where groups are read-only, as for a unit of systemd with
// ProtectControlGroups=, one that is not there is removed, and another not.
func TestRemoveReadOnly(t *testing.T) {
	there := newGroup(t)
	gone := there.Child("gone")
	var err, errThere, errGone error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		err = errors.Join(
			unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.MountSetattr(unix.AT_FDCWD, "/sys/fs/cgroup", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}))
		if err == nil {
			errThere, errGone = there.Remove(), gone.Remove()
		}
	}()
	<-done
	if err != nil || errGone != nil || !errors.Is(errThere, unix.EROFS) {
		t.Errorf("%v; removing a group that is missing: %v, one that is there: %v", err, errGone, errThere)
	}
}

// TestCreateWhilePruned: the last of a group's children goes while the first
// of others comes.
func TestCreateWhilePruned(t *testing.T) {
	t.Parallel()
	parent := newGroup(t).Child("parent")
	done := make(chan struct{})
	var pruning sync.WaitGroup
	pruning.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				parent.Prune()
			}
		}
	})
	defer pruning.Wait()
	defer close(done)
	for range 300 {
		child := parent.Child("child")
		must(t, child.Create())
		must(t, child.Remove())
	}
}

func TestJoinAndProcs(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	inner, deep := g.Child("inner"), g.Child("a").Child("b") // v2 lets groups with children have no processes
	must(t, errors.Join(inner.Create(), deep.Create()))
	a, b := join(t, deep), join(t, inner)
	want := []int{a.Process.Pid, b.Process.Pid}
	slices.Sort(want)
	got, err := g.Procs()
	must(t, err)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("processes %v, not %v", got, want)
	}
	if got, err := inner.Procs(); err != nil || !slices.Equal(got, []int{b.Process.Pid}) {
		t.Errorf("processes of the inner group: %v, %v", got, err)
	}
	if err := g.Join(1 << 22); err == nil {
		t.Error("a process that there is not has joined")
	}
	if err := g.h.Group(g.path + "/missing").Join(a.Process.Pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("joined a group that there is not: %v", err)
	}
	inner.Prune()
	if !inner.Exists() {
		t.Error("pruned with processes")
	}
}

func TestOpenEntrance(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	p := join(t, g)
	files, dir, err := g.h.OpenEntrance(p.Process.Pid)
	must(t, err)
	if dir != nil {
		files = append(files, dir)
	}
	var got, want []string
	for _, f := range files {
		got = append(got, f.Name())
		must(t, f.Close())
	}
	for _, h := range g.h.list {
		if h.v2 {
			want = append(want, g.dir(h))
		} else {
			want = append(want, g.dir(h)+"/tasks")
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, _, err := g.h.OpenEntrance(1 << 22); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a process that there is not: %v", err)
	}
}

// TestLimits sets limits, and lifts them, twice each.
func TestLimits(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	read := func() string {
		var b strings.Builder
		for _, h := range g.h.list {
			for _, f := range []string{"memory.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us", "pids.max"} {
				if v, err := os.ReadFile(filepath.Join(g.dir(h), f)); err == nil {
					fmt.Fprintf(&b, "%s %s", f, v)
				}
			}
		}
		return b.String()
	}
	free := read()
	for range 2 {
		must(t, g.SetLimits(container.Limits{MemoryMax: 64 << 20, CPUQuota: 150, TasksMax: 20}))
		got := read()
		for _, v := range []string{" 67108864\n", " 150000", "pids.max 20\n"} {
			if !strings.Contains(got, v) {
				t.Errorf("no%q in\n%s", v, got)
			}
		}
	}
	for range 2 {
		must(t, g.SetLimits(container.Limits{}))
		if got := read(); got != free {
			t.Errorf("limits stand:\n%s", got)
		}
	}
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	must(t, g.SetLimits(container.Limits{MemoryMax: 32 << 20}))
	p := join(t, g)
	p.tell(t, "ping")
	p.says(t, "pong")
	p.tell(t, "take")
	if err := p.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("a process that takes too much ends with: %v", err)
	}
	if u := g.Usage(); u.OOMKills != 1 {
		t.Errorf("usage: %+v", u)
	}
}

// TestLimitInUse: a limit below what is in use is refused by cgroup v1, which says
// so; cgroup v2 makes room.
func TestLimitInUse(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	p := join(t, g)
	p.tell(t, "ping")
	p.says(t, "pong")
	p.tell(t, "hold")
	p.says(t, "held")
	h, ok := g.h.controller("memory")
	if !ok {
		return // nothing limits memory here, which TestLimits is about
	}
	err := g.SetLimits(container.Limits{MemoryMax: 1 << 20})
	if _, used := errors.AsType[*InUseError](err); used == h.v2 || err != nil && h.v2 {
		t.Errorf("v2 is %v: %v", h.v2, err)
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	p := join(t, g)
	for range 3 {
		for range 2 {
			must(t, g.Freeze(true))
			if !g.Frozen() {
				t.Error("not frozen")
			}
		}
		p.tell(t, "ping")
		must(t, g.Freeze(false))
		if g.Frozen() {
			t.Error("still frozen")
		}
		p.says(t, "pong")
	}
}

// TestKill kills a group and all below it: processes that were forked
// meanwhile, and frozen ones.
func TestKill(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	inner, deep := g.Child("inner"), g.Child("a").Child("b") // v2 lets groups with children have no processes
	must(t, errors.Join(inner.Create(), deep.Create()))
	for _, at := range []Group{inner, deep} {
		p := join(t, at)
		p.tell(t, "fork")
		p.says(t, "<nil>")
	}
	pids, err := g.Procs()
	must(t, err)
	if len(pids) != 8 {
		t.Errorf("%d processes, not 8", len(pids))
	}
	if err := g.Remove(); err == nil {
		t.Error("removed with processes")
	}
	must(t, g.Child("empty").Create())
	g.Trim()
	if g.Child("empty").Exists() || !deep.Exists() {
		t.Error("Trim has left what is empty, or not what is in use")
	}
	must(t, errors.Join(deep.Freeze(true), g.Freeze(true)))
	must(t, g.Kill(limit))
	for _, pid := range pids {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") && !strings.Contains(string(b), ") X ") {
			t.Errorf("process %d lives: %s", pid, b)
		}
	}
	must(t, g.Remove())
}

func TestDevices(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	if _, ok := g.h.controller("devices"); !ok {
		must(t, g.AllowDevices(StandardDevices())) // does nothing
		return
	}
	p := join(t, g)
	for range 2 {
		must(t, g.AllowDevices(StandardDevices()))
		for path, want := range map[string]string{"/dev/null": "<nil>", "/dev/urandom": "<nil>", "/dev/kmsg": "open /dev/kmsg: operation not permitted"} {
			p.tell(t, "open "+path)
			p.says(t, want)
		}
	}
	if err := g.AllowDevices([]Device{"nonsense"}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("nonsense is allowed: %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
