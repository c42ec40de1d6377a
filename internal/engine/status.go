package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/ingress"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// Names are the names of all containers, sorted.
func (e *Engine) Names() ([]container.Name, error) { return e.Paths.Names() }

// List is the status of each of the containers, in the order of names. One
// that has gone meanwhile is left out, and so is one that cannot be read, of
// which the error tells.
func (e *Engine) List(names []container.Name) ([]container.Status, error) {
	if moving := e.Paths.InTransition(); len(moving) > 0 {
		e.lookMend(slices.DeleteFunc(moving, func(n container.Name) bool { return !slices.Contains(names, n) })...)
	}
	all := make([]container.Status, len(names))
	places := make([]int, len(names))
	for i := range places {
		places[i] = i
	}
	v := e.view()
	errs := Each(places, func(i int) (err error) {
		all[i], err = e.look(names[i], v)
		return err
	})
	var failed []error
	out := all[:0]
	for i, err := range errs {
		if errors.Is(err, container.ErrNotFound) {
			continue
		} else if err != nil {
			failed = append(failed, err)
			continue
		}
		out = append(out, all[i])
	}
	return out, errors.Join(failed...)
}

// Status looks at one container.
func (e *Engine) Status(n container.Name) (container.Status, error) {
	e.lookMend(n)
	return e.look(n, e.view())
}

// view is what the status of each container is told from, and is the same for
// all: it is read when it is first asked for.
type view struct {
	networks func() (network.Networks, error)
	ingress  func() (ingress.Statuses, error)
}

func (e *Engine) view() view {
	return view{sync.OnceValues(e.networks), sync.OnceValues(func() (ingress.Statuses, error) { return ingress.ReadStatus(e.Paths) })}
}

func (e *Engine) look(n container.Name, v view) (container.Status, error) {
	rec, err := e.Record(n)
	if err != nil {
		return container.Status{}, err
	}
	obs, err := e.supervisor.Observe(n)
	if err != nil {
		return container.Status{}, fmt.Errorf("%s: %w", n, err)
	}
	s := statusOf(rec, obs)
	if err := e.addNetwork(&s, rec, v.networks); err != nil {
		return s, fmt.Errorf("%s: %w", n, err)
	}
	if !obs.State.Alive() {
		return s, nil
	}
	l, err := e.launched(n)
	if l != nil {
		s.Lost, s.Digest, s.System, s.Generation, s.UIDBase = l.AllLost(), l.Digest, l.System, l.Generation, launch.UIDBase(&l.Record)
		s.Ingress, s.OwnSystem = e.ingress(n, v), e.ownSystem(l, obs)
		s.Pending = plan.Pending(plan.Observed{Spec: rec.Spec, Digest: rec.Digest, System: rec.System, Running: &l.Spec, RunningDigest: l.Digest, RunningSystem: l.System})
	}
	return s, err
}

func statusOf(rec *state.Record, obs supervise.Observation) container.Status {
	return container.Status{
		Name: rec.Name, State: obs.State, Owner: rec.Owner, Reason: obs.Reason, Leader: obs.Leader,
		Since: obs.Since, Restarts: obs.Restarts, Failure: obs.Failure, Image: rec.Spec.Image.String(), Digest: rec.Digest, System: rec.System,
		Generation: rec.Generation, UIDBase: launch.UIDBase(rec), Labels: rec.Spec.Labels,
	}
}

// ingress is how the names of a running container fare.
func (e *Engine) ingress(n container.Name, v view) []container.IngressStatus {
	lease, err := network.ReadLease(e.Paths, n)
	if err != nil || len(lease.Ingress) == 0 {
		return nil
	}
	all, err := v.ingress()
	if own := all[n]; len(own) > 0 {
		return own
	}
	trouble := "it is about to be answered"
	if err != nil {
		trouble = err.Error()
	}
	var out []container.IngressStatus
	for _, in := range lease.Ingress {
		out = append(out, container.IngressStatus{Ingress: in, Reach: container.Untried, Trouble: trouble})
	}
	return out
}
