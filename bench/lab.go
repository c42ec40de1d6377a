package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/state"
)

// dirPattern is for the names of labs, which are those of their cgroups too.
const dirPattern = "berth-bench-*"

// lab is the place where everything is measured: a directory, with berth's
// root in it, and a cgroup for the peers.
type lab struct {
	options
	dir     string
	lock    *state.Lock // tells a lab in use from one that was left behind
	paths   state.Paths
	cgroups cgroup.Hierarchies
	nspawn  host.Nspawn
	peers   int // so far
	debian  *tree
	host    *place // where programs are started; nil: on the machine itself
}

func openLab(ctx context.Context, o options) (_ *lab, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this needs root")
	}
	l := &lab{options: o}
	if l.nspawn, err = host.System().Nspawn(); err != nil {
		return nil, err
	}
	if l.cgroups, err = cgroup.Mounted(); err != nil {
		return nil, err
	}
	if err := l.sweep(ctx); err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp(o.dir, dirPattern); err != nil {
		return nil, err
	}
	if l.lock, err = state.TryLock(filepath.Join(l.dir, "lock")); err != nil {
		return nil, errors.Join(err, os.RemoveAll(l.dir))
	}
	l.paths.Root = filepath.Join(l.dir, "root")
	return l, nil
}

// say tells on the error stream how far it is.
func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

func (l *lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.dir}, elements...)...)
}

// peerGroup holds a cgroup for each peer.
func (l *lab) peerGroup() cgroup.Group { return l.cgroups.Group(filepath.Base(l.dir)) }

// sweep removes what benches that were killed have left.
func (l *lab) sweep(ctx context.Context) error {
	dirs, err := filepath.Glob(filepath.Join(l.options.dir, dirPattern))
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range dirs {
		if state.Held(filepath.Join(d, "lock")) {
			continue
		}
		old := &lab{options: l.options, dir: d, cgroups: l.cgroups, paths: state.Paths{Root: filepath.Join(d, "root")}}
		errs = append(errs, old.remove(ctx))
	}
	return errors.Join(errs...)
}

// closeLimit is the time that the end may take.
const closeLimit = 2 * time.Minute

// Close removes everything that was made.
func (l *lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	return errors.Join(l.remove(ctx), l.lock.Unlock())
}

func (l *lab) remove(ctx context.Context) error {
	return errors.Join(l.reset(ctx), state.RemoveTree(l.dir))
}

// reset ends all peers and removes all containers, but not the images.
func (l *lab) reset(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	var errs []error
	if _, err := os.Stat(l.paths.Containers()); err == nil {
		_, _, terminated := l.run(ctx, "terminate", "--all")
		_, _, destroyed := l.run(ctx, "destroy", "--all", "--yes")
		errs = append(errs, terminated, destroyed)
	}
	for _, g := range []cgroup.Group{l.cgroups.Group(l.paths.Instance()), l.peerGroup()} {
		errs = append(errs, g.Clear(10*time.Second))
	}
	return errors.Join(append(errs, l.removeMachines(ctx), state.RemoveTree(l.path("peers")))...)
}

// rest is the time in which the kernel puts away what has just ended: cgroups,
// mount namespaces, file systems. Without it whoever comes next pays for that.
const rest = 300 * time.Millisecond

// rested waits, so that a measurement begins on a machine that does nothing.
func rested(ctx context.Context) error {
	select {
	case <-time.After(rest):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
