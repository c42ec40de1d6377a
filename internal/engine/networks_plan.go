package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/ingress"
	"github.com/berth-containers/berth/internal/network/names"
	"github.com/berth-containers/berth/internal/network/survey"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// planNetworks says what has to happen to networks, and gives the wish with
// them as they are to be and with the other containers that this concerns.
func (e *Engine) planNetworks(w Wish) (Wish, []container.NetworkStep, error) {
	all, err := network.ReadNetworks(e.Paths)
	if err != nil {
		return w, nil, err
	}
	var steps []container.NetworkStep
	for _, n := range e.wantedNetworks(w, all) {
		have, there := all[n.Name]
		if there && have.Owner != "" && have.Owner != n.Owner && !w.Adopt {
			return w, nil, &container.Error{Op: "network", Subject: n.Name, Err: fmt.Errorf("%w: %s", container.ErrOwned, have.Owner), Code: container.CodeOwned,
				Hint: have.Owner.HowToChange() + ", or take it over with --adopt"}
		}
		next, err := e.resolve(n, all)
		if err != nil {
			return w, nil, err
		}
		s := container.NetworkStep{Name: n.Name, Action: container.ActionCreate}
		if there {
			s.Action, s.Changes = container.ActionNone, networkChanges(have, next)
			if len(s.Changes) > 0 || have.Owner != next.Owner {
				s.Action = container.ActionUpdate
			}
		}
		all[n.Name] = next
		if n.Name != container.DefaultNetwork || s.Action != container.ActionNone {
			steps = append(steps, s)
		}
	}
	w.networks = all
	gone, err := e.prunedNetworks(w)
	if err != nil {
		return w, nil, err
	}
	w, err = e.withNeighbours(w)
	return w, append(steps, gone...), err
}

// wantedNetworks are those of the wish, and the default one where it is there:
// the host's settings may have changed.
func (e *Engine) wantedNetworks(w Wish, all network.Networks) []WantedNetwork {
	if _, ok := all[container.DefaultNetwork]; ok {
		return append([]WantedNetwork{onDemand(container.DefaultNetwork)}, w.Networks...)
	}
	return w.Networks
}

func networkChanges(have, next network.Network) []container.Change {
	var out []container.Change
	add := func(key string, a, b any, effect container.Effect) {
		if a != b {
			out = append(out, container.Change{Key: key, Old: fmt.Sprint(a), New: fmt.Sprint(b), Effect: effect})
		}
	}
	add("bridge", have.Bridge, next.Bridge, container.EffectRestart)
	add("subnet", prefixText(have.Subnet), prefixText(next.Subnet), container.EffectRestart)
	add("subnet6", prefixText(have.Subnet6), prefixText(next.Subnet6), container.EffectRestart)
	add("isolated", have.Isolated, next.Isolated, container.EffectLive)
	add("nat", have.NAT, next.NAT, container.EffectLive)
	add("dhcp", have.DHCP, next.DHCP, container.EffectLive)
	return out
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return "none"
	}
	return p.String()
}

// applyNetworks writes the networks of a wish as they are to be. Guests that
// run on one whose addresses have changed keep theirs until they are restarted,
// which is what their own steps say.
func (e *Engine) applyNetworks(ctx context.Context, w Wish) (Wish, error) {
	err := e.allocating(ctx, func() error {
		before, err := network.ReadNetworks(e.Paths)
		if err != nil {
			return err
		}
		next, _, err := e.planNetworks(w)
		if err != nil {
			return err
		}
		gone, err := e.prunedNetworks(next)
		for _, s := range gone {
			n := next.networks[s.Name]
			n.Owner = "" // forgotten once nobody is on it
			next.networks[s.Name] = n
		}
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(next.networks)) {
			if n := next.networks[name]; n != before[name] {
				if err := network.Change(ctx, e.Paths, n); err != nil {
					return err
				}
			}
		}
		w = next
		return nil
	})
	return w, err
}

// prunedNetworks are those whose owner wants them no longer.
func (e *Engine) prunedNetworks(w Wish) ([]container.NetworkStep, error) {
	records := sync.OnceValues(func() ([]state.Record, error) { return e.wishedRecords(w) })
	var out []container.NetworkStep
	for _, name := range slices.Sorted(maps.Keys(w.networks)) {
		n := w.networks[name]
		if n.Owner == "" || !slices.Contains(w.Prune, n.Owner) || slices.ContainsFunc(w.Networks, func(o WantedNetwork) bool { return o.Name == name }) {
			continue
		}
		all, err := records()
		if err != nil {
			return nil, err
		}
		s := container.NetworkStep{Name: name, Action: container.ActionDestroy, Why: "no longer declared"}
		if users := usersOf(w, all, name); len(users) > 0 {
			s.Action, s.Why = container.ActionUpdate, "no longer declared, but kept for "+strings.Join(users, ", ")
		}
		out = append(out, s)
	}
	return out, nil
}

// usersOf are the containers of records on a network, after the wish has come
// true.
func usersOf(w Wish, records []state.Record, network string) []string {
	var out []string
	for _, r := range records {
		if slices.Contains(r.Spec.BerthNetworks(), network) && (w.has(r.Name) || !slices.Contains(w.Prune, r.Owner)) {
			out = append(out, string(r.Name))
		}
	}
	return out
}

func (w Wish) has(n container.Name) bool {
	return slices.ContainsFunc(w.Containers, func(c plan.Wanted) bool { return c.Name == n })
}

// wishedRecords are the records of all containers as the wish wants them,
// those to come included.
func (e *Engine) wishedRecords(w Wish) ([]state.Record, error) {
	out, err := e.allRecords()
	for _, c := range w.Containers {
		if i := slices.IndexFunc(out, func(r state.Record) bool { return r.Name == c.Name }); i >= 0 {
			out[i].Spec, out[i].Owner = c.Spec, c.Owner
		} else {
			out = append(out, state.Record{Name: c.Name, Owner: c.Owner, Spec: c.Spec})
		}
	}
	return out, err
}

// forgetNetworks removes those that nobody has declared and no container is
// on. The default one stays: its addresses are to last.
func (e *Engine) forgetNetworks(ctx context.Context) error {
	if !network.HasNetworks(e.Paths) {
		return nil
	}
	return e.allocating(ctx, func() error {
		all, err := network.ReadNetworks(e.Paths)
		if err = errors.Join(err, network.SweepNetworks(e.Paths)); err != nil {
			return err
		}
		maps.DeleteFunc(all, func(name string, n network.Network) bool { return n.Owner != "" || name == container.DefaultNetwork })
		if len(all) == 0 {
			return nil
		}
		records, err := e.allRecords()
		if err != nil {
			return err
		}
		for name := range all {
			if len(usersOf(Wish{}, records, name)) > 0 {
				continue
			}
			if err := network.RemoveNetwork(e.Paths, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// withNeighbours adds to the wish the containers that it does not name, but
// whose guests run on networks that it changes. They are wanted as they are.
func (e *Engine) withNeighbours(w Wish) (Wish, error) {
	leases, err := network.ReadLeases(e.Paths)
	if err != nil {
		return w, err
	}
	w.Containers = slices.Clone(w.Containers)
	for _, l := range leases {
		if w.has(l.Name) || len(l.Stale(w.networks)) == 0 {
			continue
		}
		rec, err := e.record(l.Name)
		if errors.Is(err, container.ErrNotFound) {
			continue
		} else if err != nil {
			return w, err
		}
		w.Containers = append(w.Containers, plan.Wanted{Name: l.Name, Owner: rec.Owner, Spec: rec.Spec, Digest: rec.Digest, System: rec.System, NoStart: true})
	}
	return w, nil
}

// stale are the changes of networks that a running guest has not got yet.
func (e *Engine) stale(n container.Name, networks network.Networks) ([]container.Change, error) {
	l, err := network.ReadLease(e.Paths, n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return l.Stale(networks), err
}

// networkFits makes sure that what a step brings about does not run into what
// is there.
func (e *Engine) networkFits(c plan.Wanted, o *plan.Observed, s container.Step, a around) error {
	if !c.Spec.PrivateNetwork {
		return nil
	}
	records, err := a.records()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(records, func(r state.Record) bool { return r.Name == c.Name })
	return e.collisions(records[i], a, s.Start || s.Restart || o != nil && o.State.Alive())
}

// collisions are what the container of rec runs into: what the others have,
// running or not, and where it is about to come true the machine.
func (e *Engine) collisions(rec state.Record, a around, starts bool) error {
	c, err := a.claims()
	if err != nil {
		return err
	}
	networks := maps.Clone(c.networks)
	if _, err := e.demanded(rec.Spec, networks); err != nil {
		return err
	}
	lease, err := e.leaseAs(rec, networks, network.UsedBy(c.records, c.running, rec.Name))
	if err != nil {
		return err
	}
	if err := network.Between(lease, c.leases); err != nil || !starts {
		return err
	}
	return e.canHave(lease, networks, a)
}

// canHave is why the machine cannot give a lease; nil if it can. What it seems to
// lack is looked at anew. A guest of the lease that is just starting is given its
// network meanwhile: what it has then does not count either.
func (e *Engine) canHave(l network.Lease, networks network.Networks, a around) error {
	have, err := network.ReadLease(e.Paths, l.Name)
	for first := true; ; first = false {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		trouble := e.onMachine(l, have, networks, a)
		if trouble == nil {
			return nil
		}
		had := have
		if have, err = network.ReadLease(e.Paths, l.Name); !first && reflect.DeepEqual(have, had) {
			return trouble
		}
		a = e.aroundNow()
	}
}

// leaseAs is the lease of a container for which everything has been chosen.
func (e *Engine) leaseAs(r state.Record, networks network.Networks, used network.Used) (network.Lease, error) {
	if r.Spec.PrivateNetwork {
		links, err := network.Choose(e.Paths, r, networks, used)
		if err != nil {
			return network.Lease{}, err
		}
		r.Links = links
	}
	return network.LeaseOf(e.Paths, &r, networks)
}

// onMachine are what a lease runs into on the machine. What berth names listens
// on gives way to a port of the host, and so does the guest itself, which has to
// end before it gets another network.
func (e *Engine) onMachine(l, have network.Lease, networks network.Networks, a around) error {
	m, err := survey.Open()
	if err != nil {
		return err
	}
	defer m.Close()
	facts := a.ground
	if len(l.Ports) > 0 {
		facts = a.ports
	}
	f, err := facts()
	if err != nil {
		return err
	}
	f.Interface = m.Interface
	if len(l.Ports) > 0 {
		obs, err := e.supervisor.Observe(l.Name)
		if err != nil {
			return err
		}
		if obs.Leader != 0 {
			f.Listeners = survey.Except(f.Listeners, survey.Housemates(obs.Leader)...)
		}
	}
	errs := []error{network.On(l, have, f)}
	for _, k := range l.Links {
		if n, ok := networks[k.Network]; ok {
			errs = append(errs, n.Overlaps(f))
		}
	}
	return errors.Join(errs...)
}

// listeners are the sockets of others than berth's own processes on the host. The
// process for names may just be closing one of its own, which nobody has then:
// whoever holds a port is there twice.
func (e *Engine) listeners() ([]survey.Listener, error) {
	before, err := e.listenersNow()
	if err != nil {
		return nil, err
	}
	now, err := e.listenersNow()
	return slices.DeleteFunc(now, func(l survey.Listener) bool { return !slices.Contains(before, l) }), err
}

func (e *Engine) listenersNow() ([]survey.Listener, error) {
	list, err := survey.Listeners()
	if st, failed := names.ReadStatus(e.Paths); failed == nil && names.Runs(e.Paths) {
		list = survey.Except(list, st.PID)
	}
	if pid := ingress.PID(e.Paths); pid != 0 {
		list = survey.Except(list, pid)
	}
	return list, err
}

// networkObstacle is why a container cannot have its network now.
func (e *Engine) networkObstacle(rec *state.Record, a around) error {
	if !rec.Spec.PrivateNetwork {
		return nil
	}
	return e.collisions(*rec, a, true)
}
