package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func lockPath(t *testing.T) string { return filepath.Join(t.TempDir(), "made/on/the/way/lock") }

func TestLockOfAnotherProcess(t *testing.T) {
	t.Parallel()
	path := lockPath(t)
	if Held(path) {
		t.Error("held before anybody has it")
	}
	o := start(t, "holder", path)
	o.says(t)
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if !Held(path) {
		t.Error("not held while another process has it")
	}
	must(t, o.in.Close())
	l, err := AwaitLock(t.Context(), path)
	must(t, err)
	if !Held(path) {
		t.Error("not held while this process has it")
	}
	must(t, l.Unlock())
	// A process that another test is just starting has all files of this one
	// until its exec: it holds the lock for that moment.
	for end := time.Now().Add(5 * time.Second); Held(path); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("held after unlock")
		}
	}
}

func TestLockEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	path := lockPath(t)
	o := start(t, "holder", path)
	o.says(t)
	got := make(chan error, 1)
	go func() {
		l, err := AwaitLock(t.Context(), path)
		if err == nil {
			err = l.Unlock()
		}
		got <- err
	}()
	must(t, o.Process.Kill())
	must(t, <-got)
}

func TestAwaitLockGivesUp(t *testing.T) {
	t.Parallel()
	path := lockPath(t)
	held, err := TryLock(path)
	must(t, err)
	why := errors.New("no patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := AwaitLock(ctx, path)
		got <- err
	}()
	cancel(why)
	if err := <-got; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	must(t, held.Unlock())
	l, err := AwaitLock(t.Context(), path) // nobody keeps it who gave up
	must(t, err)
	must(t, l.Unlock())
}

// TestLockFileRemoved has holders remove the lock file before they unlock it,
// which a destroy does: never may two have the lock.
func TestLockFileRemoved(t *testing.T) {
	t.Parallel()
	path := lockPath(t)
	var wg sync.WaitGroup
	var inside atomic.Int32
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l, err := AwaitLock(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d have the lock", n)
				}
				if !samePlace(l.f, path) {
					t.Error("the lock is on a file that is gone")
				}
				inside.Add(-1) // from here on another may have a new file
				if err := os.Remove(path); err != nil {
					t.Error(err)
				}
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestHeldDisturbsNobody asks whether the lock is held while another takes it.
// It runs alone: a process that another test just forks has the lock until its
// exec.
func TestHeldDisturbsNobody(t *testing.T) {
	path := lockPath(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					Held(path)
				}
			}
		})
	}
	for range 2000 {
		l, err := TryLock(path)
		if err != nil {
			t.Errorf("a look at the lock counts as a holder: %v", err)
			break
		}
		must(t, l.Unlock())
	}
	close(done)
	wg.Wait()
}

// TestLockIsNotInherited makes sure that a program started meanwhile does not
// keep the lock.
func TestLockIsNotInherited(t *testing.T) {
	t.Parallel()
	l, err := TryLock(lockPath(t))
	must(t, err)
	flags, err := unix.FcntlInt(l.f.Fd(), unix.F_GETFD, 0)
	must(t, err)
	if flags&unix.FD_CLOEXEC == 0 {
		t.Error("the lock goes to children")
	}
	must(t, l.Unlock())
}

// TestLockHandedOn gives a lock to another process, which keeps it when this
// one gives it back.
func TestLockHandedOn(t *testing.T) {
	t.Parallel()
	path := lockPath(t)
	l, err := TryLock(path)
	must(t, err)
	o := startWith(t, "heir", path, l.File())
	o.says(t)
	must(t, l.Unlock())
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) || !Held(path) {
		t.Errorf("the other does not hold it: %v", err)
	}
	must(t, o.in.Close())
	again, err := AwaitLock(t.Context(), path)
	must(t, err)
	must(t, again.Unlock())
	must(t, o.Wait())
}
