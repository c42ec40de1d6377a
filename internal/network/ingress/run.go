package ingress

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/serving"
	"github.com/berth-containers/berth/internal/state"
)

const (
	// linger is how long the process stays when no container needs it any more:
	// one that restarts needs it again.
	linger = 5 * time.Second
	// grace is how long requests that are under way may take when the process
	// ends; drain is the same when another process has taken over.
	grace = 10 * time.Second
	drain = time.Hour
)

// ErrEnded says that the process was asked to end while a container needed it.
var ErrEnded = errors.New("asked to end")

// Run answers for the names in the leases of running containers. It returns nil
// when no container has such names any more, and when another process does it
// already or takes over. When ctx ends, it returns ErrEnded.
func Run(ctx context.Context, o Options) error {
	err := run(ctx, o)
	if o.Leave != nil {
		err = errors.Join(err, o.Leave())
	}
	return err
}

func run(ctx context.Context, o Options) error {
	in, err := inherit(o.Takeover)
	if err != nil {
		return err
	}
	lock := in.lock
	for {
		if lock == nil {
			lock, err = state.TryLock(o.Paths.IngressLock())
			if errors.Is(err, state.ErrLocked) {
				return in.tell() // for systemd a unit that ends before it was ready has failed
			} else if err != nil {
				return err
			}
		}
		if err := serving.Sign(lock); err != nil {
			return errors.Join(err, lock.Unlock())
		}
		taken, err := answer(ctx, o, lock, in)
		if err = errors.Join(err, lock.Unlock()); err != nil || taken {
			return err
		} else if ctx.Err() != nil {
			return ErrEnded
		}
		// A container that started meanwhile saw the lock, and relied on this
		// process.
		if needed, err := needs(o.Paths); err != nil || !needed {
			return err
		}
		lock, in = nil, inherited{}
	}
}

// answer is Run while it has the lock. It reports whether another process has
// taken over.
func answer(ctx context.Context, o Options, lock *state.Lock, in inherited) (taken bool, err error) {
	if o.Takeover == "" { // of a process that was killed
		if err := os.RemoveAll(filepath.Dir(o.Paths.IngressStatus())); err != nil {
			return false, err
		}
	}
	s, err := New(o)
	if err != nil {
		return false, err
	}
	running, stop := context.WithCancel(ctx)
	var listening sync.WaitGroup
	listen := sync.OnceFunc(func() {
		listening.Go(func() { s.listen(running, o, in.listeners) })
	})
	taken, err = s.follow(running, o, lock, func() error {
		listen()
		return in.tell()
	})
	stop()
	patient := grace
	if taken {
		patient = drain
	}
	wait, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	err = errors.Join(err, s.Close(wait))
	listening.Wait()
	if !taken {
		err = errors.Join(err, os.RemoveAll(filepath.Dir(o.Paths.IngressStatus())))
	}
	return taken, err
}

// follow keeps s at what leases say, until none needs it for a while, ctx ends,
// or another process takes over. It calls ready as soon as s knows the leases.
func (s *Server) follow(ctx context.Context, o Options, lock *state.Lock, ready func() error) (taken bool, err error) {
	w, err := watch(o.Paths.Leases())
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	successor := requests()
	defer successor.stop()
	pause := o.linger
	if pause == 0 {
		pause = linger
	}
	unneeded := time.NewTimer(pause)
	for {
		if needed, err := s.update(o.Paths); err != nil { // what was known goes on
			fmt.Fprintln(os.Stderr, "berth: ingress:", err)
		} else if needed {
			unneeded.Stop()
		} else {
			unneeded.Reset(pause)
		}
		if ready != nil {
			if err := ready(); err != nil {
				return false, err
			}
			ready = nil
		}
		for news := false; !news; {
			select {
			case <-ctx.Done():
				return false, nil
			case <-unneeded.C:
				return false, nil
			case err := <-w.Errors:
				return false, fmt.Errorf("watch %s: %w", o.Paths.Leases(), err)
			case <-successor.asked:
				if err := s.handOver(o, lock); err != nil {
					fmt.Fprintln(os.Stderr, "berth: ingress: hand over:", err)
				} else {
					return true, nil
				}
			case <-w.Events:
				news = true
			}
		}
		drainEvents(w)
	}
}

// update reads the leases, and reports whether any has a name.
func (s *Server) update(paths state.Paths) (needed bool, err error) {
	leases, err := network.ReadLeases(paths)
	if err != nil {
		return false, err
	}
	leases = slices.DeleteFunc(leases, func(l network.Lease) bool { return len(l.Ingress) == 0 })
	return len(leases) > 0, s.Set(leases)
}

// drainEvents forgets what was told already: the leases are going to be read.
func drainEvents(w *fsnotify.Watcher) {
	for {
		select {
		case <-w.Events:
		default:
			return
		}
	}
}

// watch watches a directory, which it makes.
func watch(dir string) (*fsnotify.Watcher, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := w.Add(dir); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// needs reports whether a lease has a name that somebody has to answer for.
func needs(paths state.Paths) (bool, error) {
	leases, err := network.ReadLeases(paths)
	return slices.ContainsFunc(leases, func(l network.Lease) bool { return len(l.Ingress) > 0 }), err
}
