// Package engine does what commands ask for: it takes the lock, looks at what
// is there, has the plan made, carries it out, and undoes what did not work
// out. It decides; the rooms below it do.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/nix/store"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/supervise/embedded"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// Engine works on the containers of one root.
type Engine struct {
	Paths      state.Paths
	Images     *image.Store
	Nix        *store.Store
	Events     container.EventFunc
	closures   closure.Systems
	probe      host.Probe
	supervisor supervisor
	cgroups    cgroup.Hierarchies
	built      []*workplace
}

// supervisor is what a supervisor has to be able to do here.
type supervisor interface {
	supervise.Supervisor
	supervise.Killer
	supervise.Grouper
	supervise.Recorder
	supervise.Keeper
	supervise.Server
}

// Open returns the engine for the containers below paths. It changes nothing.
func Open(paths state.Paths, events container.EventFunc) (*Engine, error) {
	h, err := cgroup.Mounted()
	if err != nil {
		return nil, err
	}
	probe := host.System()
	keeper, err := chooseSupervisor(os.Getenv("BERTH_SUPERVISOR"), probe, paths, h)
	if err != nil {
		return nil, err
	}
	own := store.Open(paths.Nix())
	return &Engine{
		Paths:      paths,
		Images:     image.Open(paths.Images(), image.Options{Events: events}),
		Nix:        own,
		Events:     events,
		closures:   closure.Systems{Paths: paths, Source: closure.Own{Store: own, Other: closure.Nix{}}},
		probe:      probe,
		supervisor: keeper,
		cgroups:    h,
	}, nil
}

// chooseSupervisor gives the one that the environment variable
// BERTH_SUPERVISOR names, and otherwise that of systemd where systemd is
// PID 1, and the embedded one elsewhere.
func chooseSupervisor(choice string, probe host.Probe, paths state.Paths, h cgroup.Hierarchies) (supervisor, error) {
	if choice == "" {
		choice = "embedded"
		if probe.SystemdRuns() {
			choice = "systemd"
		}
	}
	switch choice {
	case "systemd":
		return systemd.New(context.Background(), paths, h)
	case "embedded":
		return embedded.New(paths, h), nil
	default:
		return nil, &container.Error{Err: fmt.Errorf("BERTH_SUPERVISOR is %q", choice), Hint: "set it to systemd or embedded, or not at all", Code: container.CodeUsage}
	}
}

// locked calls f with the lock of the container n. Only one process at a time
// changes a container; none takes the lock of a second one meanwhile.
func (e *Engine) locked(ctx context.Context, n container.Name, f func() error) error {
	lock, err := state.AwaitLock(ctx, e.Paths.Lock(n))
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return errors.Join(f(), lock.Unlock())
}

// allocating calls f with the lock that is held while images and user numbers
// are taken or given up. It may be taken inside a container's lock.
func (e *Engine) allocating(ctx context.Context, f func() error) error {
	lock, err := state.AwaitLock(ctx, filepath.Join(e.Paths.Locks(), ".allocate"))
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return errors.Join(f(), lock.Unlock())
}

// record reads the record of a container that has to be there.
func (e *Engine) record(n container.Name) (*state.Record, error) {
	return state.ReadRecord(e.Paths.Container(n))
}

// Record is what is kept of a container.
func (e *Engine) Record(n container.Name) (*state.Record, error) {
	r, err := e.record(n)
	return r, notFound(n, err)
}

// observed is a container as the planner sees it; nil where there is none.
func (e *Engine) observed(n container.Name) (*plan.Observed, *state.Record, error) {
	rec, err := e.record(n)
	if errors.Is(err, container.ErrNotFound) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	obs, err := e.supervisor.Observe(n)
	if err != nil {
		return nil, nil, err
	}
	o := &plan.Observed{Name: n, Owner: rec.Owner, Spec: rec.Spec, Digest: rec.Digest, System: rec.System, State: obs.State}
	if !obs.State.Alive() {
		return o, rec, nil
	}
	l, err := e.launched(n)
	if l != nil {
		o.Running, o.RunningDigest, o.RunningSystem = &l.Spec, l.Digest, l.System
	}
	return o, rec, err
}

// launched is what the running guest was started with; nil before it is known.
func (e *Engine) launched(n container.Name) (*state.Launched, error) {
	l, err := state.ReadLaunched(e.Paths.Run(n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return l, err
}

// notFound adds the container's name and a hint to ErrNotFound.
func notFound(n container.Name, err error) error {
	if !errors.Is(err, container.ErrNotFound) {
		return err
	}
	return &container.Error{Subject: string(n), Err: container.ErrNotFound, Code: container.CodeNotFound,
		Hint: "berth ls shows the containers that there are"}
}

// parallelism is how many containers are worked on at a time. A start keeps a
// CPU busy for most of its time; four for each CPU fill the waits in between,
// and keep each start far from its time limit.
func parallelism() int { return 4 * runtime.NumCPU() }

// prepare makes the directories that everything else lies in.
func (e *Engine) prepare() error {
	for _, d := range []string{e.Paths.Containers(), e.Paths.Images(), e.Paths.Locks(), e.Paths.Runs()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	return nil
}
