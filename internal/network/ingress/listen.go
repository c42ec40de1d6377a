package ingress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/berth-containers/berth/container"
)

// again is the pause between two tries to listen on a port that others have:
// the kernel does not tell when they leave it.
const again = 2 * time.Second

// ports are the two listeners, as far as they could be had.
type ports struct {
	mu          sync.Mutex
	http, https *port
}

// port is one of them.
type port struct {
	address string
	file    net.Listener // nil until it listens
	err     error        // why it does not
}

// trouble says for people which port cannot be had that names of this kind need.
func (p *ports) trouble(kind container.TLS) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	needed := []*port{p.http}
	if kind != container.TLSOff {
		needed = append(needed, p.https)
	}
	for _, one := range needed {
		if one != nil && one.err != nil {
			return one.err.Error()
		}
	}
	return ""
}

// listen serves both ports until ctx ends. Those that were inherited are not
// opened again.
func (s *Server) listen(ctx context.Context, o Options, inherited [2]net.Listener) {
	s.ports.http = &port{address: cmp.Or(o.HTTP, ":80"), file: inherited[0]}
	s.ports.https = &port{address: cmp.Or(o.HTTPS, ":443"), file: inherited[1]}
	var wg sync.WaitGroup
	wg.Go(func() { s.keepListening(ctx, s.ports.http, s.Serve) })
	wg.Go(func() { s.keepListening(ctx, s.ports.https, s.ServeTLS) })
	wg.Wait()
}

// keepListening opens a port as soon as it can be had, and serves it.
func (s *Server) keepListening(ctx context.Context, p *port, serve func(net.Listener) error) {
	for {
		s.ports.mu.Lock()
		l := p.file
		s.ports.mu.Unlock()
		var err error
		if l == nil {
			l, err = net.Listen("tcp", p.address)
		}
		s.ports.set(p, l, err)
		s.status.changed()
		if err == nil {
			if err = serve(l); err == nil {
				return
			}
			s.ports.set(p, nil, err)
			s.status.changed()
		}
		pause := time.NewTimer(again)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

func (p *ports) set(one *port, l net.Listener, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		err = fmt.Errorf("cannot listen on %s: %w; another web server may have it: ss -tlnp shows which", one.address, err)
		l = nil
	}
	one.file, one.err = l, err
}

// listeners are those that are open; nil for one that is not.
func (p *ports) listeners() [2]*net.TCPListener {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out [2]*net.TCPListener
	for i, one := range []*port{p.http, p.https} {
		if one != nil {
			out[i], _ = one.file.(*net.TCPListener)
		}
	}
	return out
}
