package engine

import (
	"maps"
	"sync"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/firewall"
	"github.com/berth-containers/berth/internal/network/survey"
	"github.com/berth-containers/berth/internal/state"
)

// around is what a container comes into: all containers and their networks, and
// the machine. Each is read when it is first asked for, and is then the same for
// all containers that a plan is about, or a group of them that is worked on at a
// time. It is for telling in advance what does not fit: what is chosen is chosen
// from what is there then, and a start looks at all of it anew.
type around struct {
	records   func() ([]state.Record, error)    // of all containers
	claims    func() (claims, error)            // of these on the network
	ground    func() (network.Facts, error)     // the machine's addresses
	listeners func() ([]survey.Listener, error) // on it, but for berth's own
	ports     func() (network.Facts, error)     // ground, and who has the machine's ports
	front     func() (map[uint16]string, error) // who has those of ingress
}

// claims are what containers have of the network, or have once they run.
type claims struct {
	networks network.Networks // those that are made on demand included
	records  []state.Record
	running  []network.Lease // of guests that run
	leases   []network.Lease // of all for which there can be one
}

// aroundNow is what is there.
func (e *Engine) aroundNow() around {
	return e.around(e.allRecords, e.networks)
}

// aroundWith is what is there once a wish has come true.
func (e *Engine) aroundWith(w Wish) around {
	return e.around(func() ([]state.Record, error) { return e.wishedRecords(w) }, func() (network.Networks, error) { return w.networks, nil })
}

func (e *Engine) around(records func() ([]state.Record, error), networks func() (network.Networks, error)) around {
	a := around{
		records:   sync.OnceValues(records),
		ground:    sync.OnceValues(ground),
		listeners: sync.OnceValues(e.listeners),
	}
	a.claims = sync.OnceValues(func() (c claims, err error) {
		if c.records, err = a.records(); err != nil {
			return c, err
		}
		if c.networks, err = networks(); err != nil {
			return c, err
		}
		return c, e.claim(&c)
	})
	a.ports = sync.OnceValues(func() (network.Facts, error) {
		f, err := a.ground()
		if err == nil {
			f.Listeners, err = a.listeners()
		}
		if err == nil {
			f.Published, err = firewall.AllPublished(e.Paths.Instance())
		}
		return f, err
	})
	a.front = sync.OnceValues(func() (map[uint16]string, error) {
		list, err := a.listeners()
		return holders(list, container.IngressHTTP, container.IngressHTTPS), err
	})
	return a
}

// claim fills in what follows from records and networks.
func (e *Engine) claim(c *claims) (err error) {
	c.networks = maps.Clone(c.networks)
	for _, r := range c.records { // a zone of one is there for others
		if _, err := e.demanded(r.Spec, c.networks); err != nil {
			return err
		}
	}
	if c.running, err = network.ReadLeases(e.Paths); err != nil {
		return err
	}
	for _, r := range c.records {
		if l, err := e.leaseAs(r, c.networks, network.Used{}); err == nil { // what is wrong with one is told with that
			c.leases = append(c.leases, l)
		}
	}
	return nil
}

// ground are the machine's own addresses, and those that it knows a way to.
func ground() (f network.Facts, err error) {
	m, err := survey.Open()
	if err != nil {
		return f, err
	}
	defer m.Close()
	if f.Addresses, err = m.Addresses(); err == nil {
		f.Ranges, err = m.Ranges()
	}
	return f, err
}
