package embedded

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/inotify"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// Supervisor implements supervise.Supervisor, Killer, Grouper, Recorder and
// Keeper.
type Supervisor struct {
	Paths state.Paths
	// Program is the berth that shims run; "/proc/self/exe" stays right when
	// the file is replaced or removed.
	Program string
	Cgroups cgroup.Hierarchies

	reports sync.Map // by name: the *report of the shim that this process started
}

// New returns the supervisor for the containers below paths.
func New(paths state.Paths, h cgroup.Hierarchies) *Supervisor {
	return &Supervisor{Paths: paths, Program: "/proc/self/exe", Cgroups: h}
}

// group holds a container's shim and, below it, the guest.
func (s *Supervisor) group(n container.Name) cgroup.Group {
	return s.Cgroups.Group(s.Paths.Instance()).Child(string(n))
}

// GroupPath implements supervise.Grouper.
func (s *Supervisor) GroupPath(n container.Name) string {
	return "/" + s.Paths.Instance() + "/" + string(n)
}

func (s *Supervisor) shimGroup(n container.Name) cgroup.Group {
	return s.group(n).Child("shim").Light()
}

func (s *Supervisor) guestGroup(n container.Name) cgroup.Group { return s.group(n).Child("guest") }

// Start implements supervise.Supervisor.
func (s *Supervisor) Start(ctx context.Context, n container.Name) error {
	// The shim inherits the lock, so that there is no moment in which it
	// exists and nobody knows. It may be that of a guest that is just ending.
	lock, err := state.AwaitLock(ctx, s.shimLock(n))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := s.clean(n); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Paths.Run(n)+"/"+launch.MountDir, 0o700); err != nil {
		return err
	}
	if err := state.WriteRuntimeJSON(s.statusFile(n), status{State: container.Starting, Since: time.Now()}); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(s.Program, "--root", s.Paths.Root, "shim", string(n))
	cmd.Env = []string{"GOMAXPROCS=1", "PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{w, lock.File()} // RunShim has their numbers
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err = s.shimGroup(n).Create(); err == nil {
		err = s.shimGroup(n).Start(cmd)
	}
	w.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("start the shim: %w", err), r.Close())
	}
	go cmd.Wait() // a shim that ends while this process lives must not stay a zombie
	return s.hear(n, &report{file: r, lines: bufio.NewReader(r)})
}

// Stop implements supervise.Supervisor.
func (s *Supervisor) Stop(ctx context.Context, n container.Name, limit time.Duration) error {
	obs, err := s.Observe(n)
	if err != nil {
		return err
	}
	if obs.State == container.Unsupervised {
		if limit > 0 {
			s.stopLeader(ctx, n, limit)
		}
		return s.settle(n)
	}
	if limit > 0 && state.Held(s.shimLock(n)) {
		if err := s.stopShim(ctx, n, limit); err != nil {
			return err
		}
	}
	for state.Held(s.shimLock(n)) {
		if err := s.signalShim(ctx, n, unix.SIGUSR1); err != nil {
			return err
		}
		if err := s.awaitShim(ctx, n); err != nil {
			return err
		}
	}
	return s.settle(n)
}

// settle makes a container without a shim one that is stopped, whatever it
// was before.
func (s *Supervisor) settle(n container.Name) error {
	if s.guestGroup(n).Exists() { // with what may live in it
		if err := s.clear(n); err != nil {
			return err
		}
	}
	var groups, settings error
	var beside sync.WaitGroup
	beside.Go(func() { groups, settings = s.clear(n), s.RestoreSettings() })
	err := errors.Join(s.discard(n), state.RemoveFailure(s.Paths.Container(n)))
	beside.Wait()
	return errors.Join(err, groups, settings)
}

// stopShim asks the shim to shut the guest down and waits for limit.
func (s *Supervisor) stopShim(ctx context.Context, n container.Name, limit time.Duration) error {
	if err := s.Freeze(n, false); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := s.signalShim(ctx, n, unix.SIGTERM); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	shim, ended := context.WithCancel(within)
	var beside sync.WaitGroup
	beside.Go(func() { s.tidy(shim, n) })
	err := s.awaitShim(within, n)
	ended()
	beside.Wait()
	if err != nil {
		return context.Cause(ctx) // nil where only the limit has passed
	}
	s.stopLeader(within, n, limit) // there still is one where the shim was killed
	return nil
}

// tidy removes the guest's root and its control groups as soon as its init has
// ended, while systemd-nspawn and the shim still end: to unmount an overlay,
// the kernel writes out the file system below. What it does not come to is
// theirs, and clean's. ctx ends with the shim: one that was killed asks no guest
// to end.
func (s *Supervisor) tidy(ctx context.Context, n container.Name) {
	st, err := readStatus(s.statusFile(n))
	if err != nil || st == nil {
		return
	}
	nspawn, err := process.Parent(st.Leader)
	if err != nil {
		return
	}
	leader, err := process.OpenStarted(st.Leader, st.LeaderStart)
	if err != nil {
		return
	}
	defer leader.Close()
	if leader.Await(ctx) != nil {
		return
	}
	var together sync.WaitGroup
	together.Go(func() {
		_ = namespace.InMounts(nspawn, func() error {
			return unix.Unmount(filepath.Join(s.Paths.Run(n), launch.MountDir), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		})
	})
	s.guestGroup(n).Trim()
	together.Wait()
}

// stopLeader shuts a guest down that has no shim. That it may not listen is
// not an error: it is killed afterwards.
func (s *Supervisor) stopLeader(ctx context.Context, n container.Name, limit time.Duration) {
	st, err := readStatus(s.statusFile(n))
	if err != nil || !st.leaderAlive() {
		return
	}
	leader, err := process.OpenStarted(st.Leader, st.LeaderStart)
	if err != nil {
		return
	}
	defer leader.Close()
	_ = s.guestGroup(n).Freeze(false)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for ctx.Err() == nil {
		again, _ := s.halt(ctx, n, st, st.State == container.Running)
		within, done := context.WithTimeout(ctx, cmp.Or(again, limit))
		err := leader.Await(within)
		done()
		if err == nil {
			return
		}
	}
}

// clean kills and removes what is left of a container that has no shim.
func (s *Supervisor) clean(n container.Name) error {
	if err := s.clear(n); err != nil {
		return err
	}
	return s.discard(n)
}

// clear kills what is left of a container and removes its control groups.
func (s *Supervisor) clear(n container.Name) error {
	s.shimGroup(n).Trim() // where it is all that is left, this is quicker than to look for it
	if err := s.group(n).Clear(10 * time.Second); err != nil {
		return err
	}
	s.Cgroups.Group(s.Paths.Instance()).Prune()
	return nil
}

// discard removes what a container without processes has on the host.
func (s *Supervisor) discard(n container.Name) error {
	if err := network.Detach(context.Background(), s.Paths, n); err != nil {
		return err
	}
	return state.RemoveTree(s.Paths.Run(n))
}

// Freeze implements supervise.Grouper.
func (s *Supervisor) Freeze(n container.Name, on bool) error { return s.guestGroup(n).Freeze(on) }

// SetLimits implements supervise.Grouper. As at a start, a limit that the host
// cannot hold is something the guest goes without, not an error.
func (s *Supervisor) SetLimits(n container.Name, l container.Limits) error {
	lost, err := setLimits(s.guestGroup(n), l)
	if used, ok := errors.AsType[*cgroup.InUseError](err); ok {
		err = &container.Error{Err: fmt.Errorf("the kernel does not set %w", err),
			Hint: fmt.Sprintf("berth restart %s, which has it from its start, or set a higher one", n)}
		return errors.Join(err, state.SetLostLimits(s.Paths.Run(n), used.Error()))
	}
	if err != nil {
		return err
	}
	return state.SetLostLimits(s.Paths.Run(n), lost)
}

// Usage is what the running guest takes of the host.
func (s *Supervisor) Usage(n container.Name) container.Usage { return s.guestGroup(n).Usage() }

// Observe implements supervise.Supervisor.
func (s *Supervisor) Observe(n container.Name) (supervise.Observation, error) {
	held := state.Held(s.shimLock(n))
	st, err := readStatus(s.statusFile(n))
	if err != nil {
		return supervise.Observation{}, err
	}
	switch {
	case held && st == nil:
		return supervise.Observation{State: container.Stopping}, nil // the shim cleans up
	case held:
		o := st.observation()
		if o.State == container.Running && s.guestGroup(n).Frozen() {
			o.State = container.Paused
		}
		return o, nil
	case st.leaderAlive():
		o := st.observation()
		o.State = container.Unsupervised
		o.Reason = "its supervisor was killed"
		return o, nil
	}
	return s.observeEnded(n)
}

// observeEnded looks at a container that has no shim and no leader.
func (s *Supervisor) observeEnded(n container.Name) (supervise.Observation, error) {
	failed, err := state.ReadFailure(s.Paths.Container(n))
	if err != nil {
		return supervise.Observation{}, err
	}
	o := supervise.Ended(failed)
	_, err = os.Lstat(s.Paths.Run(n))
	if o.Leftover = err == nil; !o.Leftover {
		return o, nil
	}
	if pids, err := s.guestGroup(n).Procs(); err != nil || len(pids) > 0 {
		return supervise.Observation{State: container.Unsupervised, Reason: "its supervisor was killed", Leftover: true}, err
	}
	return o, nil
}

func (st *status) observation() supervise.Observation {
	return supervise.Observation{State: st.State, Since: st.Since, Leader: st.Leader, Started: st.LeaderStart, Restarts: st.Restarts, Reason: st.Reason, Failure: st.Failure}
}

// Kill tells the shim to kill the guest at once, whoever waits for it.
func (s *Supervisor) Kill(ctx context.Context, n container.Name) error {
	return s.signalShim(ctx, n, unix.SIGUSR1)
}

// RestoreSettings implements supervise.Keeper.
func (s *Supervisor) RestoreSettings() error { return inotify.Restore(s.Cgroups, 0) }

// Forget removes what is kept of a container that is gone for good.
func (s *Supervisor) Forget(n container.Name) error {
	return state.RemoveFile(s.shimLock(n))
}

// Kept implements supervise.Keeper.
func (s *Supervisor) Kept() ([]container.Name, error) {
	return supervise.Kept(s.Paths, s.Cgroups.Group(s.Paths.Instance()).Children())
}
