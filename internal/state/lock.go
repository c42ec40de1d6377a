package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Lock is an exclusive lock that the kernel drops with the process.
type Lock struct{ f *os.File }

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("locked by another process")

// TryLock takes the lock file at path, which it makes with its directory, or
// returns an error that matches ErrLocked at once.
func TryLock(path string) (*Lock, error) {
	return lock(path, func(f *os.File) error {
		err := control(f, unix.F_OFD_SETLK, exclusive())
		if err == unix.EAGAIN || err == unix.EACCES {
			return ErrLocked
		}
		return err
	})
}

// AwaitLock takes the lock file at path, as soon as nobody else holds it. From
// then on an interrupt ends ctx, if it is one that asks for that, and not the
// process in the middle of a change.
func AwaitLock(ctx context.Context, path string) (*Lock, error) {
	ctx.Done()
	if l, err := TryLock(path); !errors.Is(err, ErrLocked) {
		return l, err
	}
	return lock(path, func(f *os.File) error { return await(ctx, f) })
}

// lock takes the lock with take. Its last holder may have removed the file
// meanwhile: then the lock is on nothing, and is taken anew.
func lock(path string, take func(*os.File) error) (*Lock, error) {
	for {
		f, err := openLock(path)
		if err != nil {
			return nil, err
		}
		if err := take(f); err != nil {
			if !errors.Is(err, errStillWaiting) {
				f.Close()
			}
			return nil, err
		}
		if samePlace(f, path) {
			return &Lock{f}, nil
		}
		f.Close()
	}
}

func samePlace(f *os.File, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	held, err := f.Stat()
	return err == nil && os.SameFile(held, there)
}

// errStillWaiting says that a goroutine goes on waiting for a lock that nobody
// wants any more, and closes the file then.
var errStillWaiting = errors.New("interrupted")

// await locks f unless ctx ends before.
func await(ctx context.Context, f *os.File) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	got := make(chan error, 1)
	go func() { got <- control(f, unix.F_OFD_SETLKW, exclusive()) }()
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		go func() { <-got; f.Close() }() // the wait cannot be interrupted
		return fmt.Errorf("%w: %w", errStillWaiting, context.Cause(ctx))
	}
}

// Held reports whether some process holds the lock file at path. It takes no
// lock itself, so that nobody who tries to at this moment is turned away.
func Held(path string) bool {
	fd, err := openSmall(path)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	lock := exclusive()
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, lock) == nil && lock.Type != unix.F_UNLCK
}

// Inherited is a lock that this process was started with, as the file of a
// Lock of its parent.
func Inherited(f *os.File) *Lock { return &Lock{f} }

// File carries the lock: a process that is started with it holds it too.
func (l *Lock) File() *os.File { return l.f }

// Unlock gives the lock back. Where others hold it too, they keep it.
func (l *Lock) Unlock() error { return l.f.Close() }

func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// exclusive is a lock on a whole file.
func exclusive() *unix.Flock_t { return &unix.Flock_t{Type: unix.F_WRLCK} }

// control works on a lock of f's open file description: as with flock(2) it
// ends when the last descriptor is closed, but it can also be asked for.
func control(f *os.File, cmd int, lock *unix.Flock_t) error {
	for {
		if err := unix.FcntlFlock(f.Fd(), cmd, lock); err != unix.EINTR {
			return err
		}
	}
}
