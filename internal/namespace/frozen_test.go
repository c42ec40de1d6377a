package namespace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
)

// dirVariable names the directory in which a role leaves files.
const dirVariable = "BERTH_NAMESPACE_TEST_DIR"

// TestFrozen starts programs in a control group that is frozen, or is being
// frozen. It does so in a process of its own, which has no other children.
func TestFrozen(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{roleVariable + "=frozen", dirVariable + "=" + t.TempDir(), "GOTRACEBACK=all"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%.5000s", err, out)
	}
}

// errEnough is why the starts are given up.
var errEnough = errors.New("enough")

func frozen() (err error) {
	dir := os.Getenv(dirVariable)
	ran := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	const inFrozen, inFreezing = 10, 50
	err = inGroup(func(g *guest, h cgroup.Hierarchies, group cgroup.Group) error {
		for i := range inFrozen + inFreezing {
			start := startFreezing
			if i < inFrozen {
				start = startFrozen
			}
			if err := start(g, h, group, ran(i)); err != nil {
				return fmt.Errorf("start %d: %w", i, err)
			}
		}
		return nil
	})
	err = errors.Join(err, awaitChildren())
	for i := range inFrozen {
		if info, statErr := os.Stat(ran(i)); statErr != nil || info.Size() > 0 {
			err = errors.Join(err, statErr, fmt.Errorf("program %d ran", i))
		}
	}
	return err
}

// inGroup calls f with a guest in a control group of its own.
func inGroup(f func(*guest, cgroup.Hierarchies, cgroup.Group) error) (err error) {
	var undo []func()
	defer func() {
		for i := range undo {
			undo[len(undo)-1-i]()
		}
	}()
	g, err := newGuest(func(f func()) { undo = append(undo, f) })
	if err != nil {
		return err
	}
	h, err := cgroup.Mounted()
	if err != nil {
		return err
	}
	group := h.Group(fmt.Sprintf("berth-test-frozen-%d", os.Getpid()))
	defer func() { err = errors.Join(err, group.Kill(10*time.Second), group.Remove()) }()
	if err := errors.Join(group.Create(), group.Join(g.Process.Pid)); err != nil {
		return err
	}
	return f(g, h, group)
}

// startFrozen starts a program in a frozen group, which has to come to nothing.
func startFrozen(g *guest, h cgroup.Hierarchies, group cgroup.Group, ran string) error {
	if err := group.Freeze(true); err != nil {
		return err
	}
	if !h.Frozen(g.Process.Pid) {
		return errors.New("it does not look frozen")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, errEnough)
	defer cancel()
	pid, err := startIn(ctx, g, h, ran)
	w.Close()
	if err != errEnough {
		return fmt.Errorf("PID %d, %w", pid, err)
	}
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("a child that is frozen keeps a file that is not its own: %w", err)
	}
	if err := group.Freeze(false); err != nil {
		return err
	}
	if h.Frozen(g.Process.Pid) {
		return errors.New("it looks frozen")
	}
	return nil
}

// startFreezing starts a program in a group that is frozen meanwhile. Whether
// it runs depends on who was first, but in the end nothing is left.
func startFreezing(g *guest, h cgroup.Hierarchies, group cgroup.Group, ran string) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	frozen := make(chan error, 1)
	go func() {
		for begun, wait := time.Now(), rand.N(3*time.Millisecond); time.Since(begun) < wait; {
			runtime.Gosched()
		}
		err := group.Freeze(true)
		cancel(errEnough)
		frozen <- err
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, err := startIn(ctx, g, h, ran)
	if err := errors.Join(<-frozen, group.Freeze(false)); err != nil {
		return err
	}
	if err == nil {
		_, err := wait(pid)
		return err
	} else if err != errEnough {
		return err
	}
	return nil
}

// startIn starts a program in the guest's groups that writes to the file ran.
func startIn(ctx context.Context, g *guest, h cgroup.Hierarchies, ran string) (int, error) {
	out, err := os.Create(ran)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	c := &Command{Target: g.pidfd, Flags: allFlags(), Paths: []string{"/bin/sh"}, Args: []string{"sh", "-c", "echo here"},
		Dir: "/", Bounding: ^uint64(0), Stdin: null, Stdout: out, Stderr: null}
	c.Cgroups, c.CgroupDir, err = h.OpenEntrance(g.Process.Pid)
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, f := range c.Cgroups {
			f.Close()
		}
		if c.CgroupDir != nil {
			c.CgroupDir.Close()
		}
	}()
	return c.Start(ctx)
}

// awaitChildren returns when this process has no children any more.
func awaitChildren() error {
	for begun := time.Now(); time.Since(begun) < 10*time.Second; {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.ECHILD {
			return nil
		}
		runtime.Gosched() // somebody is about to wait for it
	}
	return errors.New("children are left over")
}
