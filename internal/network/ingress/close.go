package ingress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// fresh are the connections on which nothing was asked yet. An http.Server that
// shuts down drops what is asked first on one; see (*Server).Close.
type fresh struct {
	conns sync.Map
	count sync.WaitGroup
}

// connKey is where a request's context has its connection.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// state implements http.Server.ConnState. With HTTP/2 a server tells its client
// what it does not answer any more, and the client asks elsewhere.
func (f *fresh) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		f.conns.Store(c, nil)
		f.count.Add(1)
	case http.StateActive:
		if t, ok := c.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol == "h2" {
			f.heard(c)
		}
	case http.StateClosed, http.StateHijacked:
		f.heard(c)
	}
}

// heard is called when something is asked on a connection, or it ends.
func (f *fresh) heard(c any) {
	if _, was := f.conns.LoadAndDelete(c); was {
		f.count.Done()
	}
}

// accept accepts connections with f until Close: it has all that were accepted
// in s.fresh when it ends.
func (s *Server) accept(l net.Listener, f func() error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners = append(s.listeners, l)
	s.accepting.Add(1)
	s.mu.Unlock()
	defer s.accepting.Done()
	err := f()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	return err
}

// stopAccepting ends all of accept.
func (s *Server) stopAccepting() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		l.Close() // it may be closed already
	}
	s.mu.Unlock()
	s.accepting.Wait()
}

// Close takes no more connections, lets requests that are under way end as long
// as ctx lasts, and cuts off the rest.
func (s *Server) Close(ctx context.Context) error {
	s.stopAccepting()
	s.keeper.Close()
	s.status.end()
	soon, cancel := context.WithTimeout(ctx, headerTimeout)
	defer cancel()
	await(soon, s.fresh.count.Wait)
	await(ctx, func() {
		var wg sync.WaitGroup
		for _, h := range []*http.Server{s.http, s.https} {
			wg.Go(func() {
				if h.Shutdown(ctx) != nil {
					h.Close()
				}
			})
		}
		wg.Wait()
		s.open.Wait() // what has become another protocol, such as websockets
	})
	return s.access.Close()
}

// await waits until f ends, or ctx.
func await(ctx context.Context, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
