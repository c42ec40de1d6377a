package namespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStorm starts many programs at once while the garbage collector runs all
// the time: what goes on between fork and exec must not notice. It does so in
// a process of its own, which has no other children and files.
func TestStorm(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{roleVariable + "=storm", "GOMAXPROCS=4", "GOTRACEBACK=all"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%.5000s", err, out)
	}
}

func storm() (err error) {
	var undo []func()
	defer func() {
		for i := range undo {
			undo[len(undo)-1-i]()
		}
		if _, waitErr := unix.Wait4(-1, nil, unix.WNOHANG, nil); waitErr != unix.ECHILD {
			err = errors.Join(err, fmt.Errorf("children are left over: %v", waitErr))
		}
	}()
	g, err := newGuest(func(f func()) { undo = append(undo, f) })
	if err != nil {
		return err
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	command := func(i int) *Command { // every 10th has an error
		c := &Command{Target: g.pidfd, Flags: allFlags(), Paths: []string{"/nowhere", "/bin/sh"}, Args: []string{"sh", "-c", fmt.Sprintf("exit %d", i%100), strings.Repeat("x", i)},
			Dir: "/", Bounding: ^uint64(0), Groups: []int{i}, Stdin: null, Stdout: null, Stderr: null}
		if i%10 == 0 {
			c.Paths = []string{"/nowhere"}
		}
		return c
	}
	before, err := countFiles()
	if err != nil {
		return err
	}
	stop := collect()
	errs := make([]error, 200)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = check(i, command(i)) })
		if i%20 == 0 {
			wg.Go(func() { errs[i+1] = errors.Join(errs[i+1], user()) })
		}
	}
	wg.Wait()
	stop()
	self.Close()
	after, err := countFiles()
	if err == nil && after >= before {
		err = fmt.Errorf("%d files are open, before it were %d", after, before)
	}
	return errors.Join(append(errs, err)...)
}

// check runs the program and wants its code, or the error of every 10th.
func check(i int, c *Command) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, err := c.Start(context.Background())
	if i%10 == 0 {
		if !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("program %d, which is not there: PID %d, %w", i, pid, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("program %d: %w", i, err)
	}
	code, err := wait(pid)
	if err == nil && code != i%100 {
		err = fmt.Errorf("program %d ended with %d", i, code)
	}
	return err
}

func user() error {
	f, err := NewUser(Extent{0, base, 1 << 16})
	if err != nil {
		return err
	}
	return f.Close()
}

// collect runs the garbage collector until it is stopped.
func collect() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = make([]byte, 1<<20)
				runtime.GC()
			}
		}
	}()
	return func() { close(done); <-ended }
}

func countFiles() (int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	return len(entries), err
}
