package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/state"
)

// Options are for Run and New.
type Options struct {
	Paths state.Paths
	ACME  ACME
	// HTTP and HTTPS are where to listen, as in net.Listen; empty: the ports 80
	// and 443 of all addresses of both families.
	HTTP, HTTPS string
	// Program and its arguments start this process anew, for SIGHUP. To a new
	// process --takeover=WORD is added, which is its Takeover.
	Program  []string
	Takeover string
	// Leave is called at the end, if it is not nil.
	Leave func() error

	pace     pace          // zero: usual
	patience time.Duration // zero: patience
	linger   time.Duration // zero: linger
}

const (
	// patience is how long a client may let a transfer stand still.
	patience      = time.Minute
	headerTimeout = 10 * time.Second // from a connection's beginning to the end of a request's header
	idleClient    = 2 * time.Minute  // between two requests
	maxHeader     = 64 << 10         // bytes
)

// Server answers for the names of containers.
type Server struct {
	routes    atomic.Pointer[table]
	keeper    *keeper
	authority *authority
	proxy     *httputil.ReverseProxy
	access    *accessLog
	status    *statusFile
	ports     ports
	patience  time.Duration

	http, https *http.Server
	securePort  atomic.Int32   // to which HTTP redirects
	open        sync.WaitGroup // exchanges
	fresh       fresh

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	accepting sync.WaitGroup // calls of accept
}

// New makes a Server that answers for nothing yet.
func New(o Options) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(o.Paths.IngressStatus()), 0o700); err != nil {
		return nil, err
	}
	access, err := openAccess(o.Paths.IngressLog())
	if err != nil {
		return nil, err
	}
	if o.pace == (pace{}) {
		o.pace = usual()
	}
	if o.patience == 0 {
		o.patience = patience
	}
	s := &Server{
		authority: &authority{paths: o.Paths, hosts: map[string]*tls.Certificate{}},
		proxy:     newProxy(), access: access, patience: o.patience,
	}
	s.status = newStatusFile(o.Paths.IngressStatus(), s.Status)
	s.keeper = newKeeper(o.Paths.Ingress(), o.ACME, o.pace, s.status.changed)
	s.routes.Store(&table{})
	s.securePort.Store(443)
	s.http, s.https = s.server(s.plain), s.server(s.secure)
	s.https.TLSConfig = &tls.Config{GetConfigForClient: s.challenge, GetCertificate: s.certificateFor, NextProtos: []string{"h2", "http/1.1"}}
	return s, nil
}

// server makes one of the two servers.
func (s *Server) server(answer http.HandlerFunc) *http.Server {
	return &http.Server{
		Handler:           s.exchanges(answer),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleClient,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: patience, PingTimeout: headerTimeout, WriteByteTimeout: s.patience},
		ErrorLog:          nobody(),
		ConnState:         s.fresh.state,
		ConnContext:       withConn,
	}
}

// nobody is told what strangers do wrong, which the access log has as far as
// they asked for something.
func nobody() *log.Logger { return log.New(io.Discard, "", 0) }

// exchanges keeps each request within its limits, and writes it down.
func (s *Server) exchanges(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.open.Add(1)
		defer s.open.Done()
		s.fresh.heard(r.Context().Value(connKey{}))
		x := newExchange(w, r, s.patience)
		r = withExchange(r, x)
		defer func() { // also when the guest left in the middle, which is a panic
			x.end()
			s.access.add(x.entry())
		}()
		if r.Method == http.MethodConnect {
			say(x, http.StatusMethodNotAllowed, "berth: this is no proxy\n")
			return
		}
		answer(x, r)
	})
}

// certificate is the one for a route.
func (s *Server) certificate(r *route) (*tls.Certificate, error) {
	switch r.TLS {
	case container.TLSACME:
		return s.keeper.certificate(r.Host)
	case container.TLSInternal:
		return s.authority.certificate(context.Background(), r.Host)
	}
	return nil, nil
}

// certificateFor implements GetCertificate. For a name that nobody has there is
// none, which crypto/tls tells by the alert unrecognized_name.
func (s *Server) certificateFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	r := s.routes.Load().find(hostName(hello.ServerName))
	if r == nil {
		return nil, nil
	}
	return s.certificate(r)
}

// challenge implements GetConfigForClient: an authority that asks for
// tls-alpn-01 gets what it asks for.
func (s *Server) challenge(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !asked(hello) {
		return nil, nil
	}
	c := s.keeper.challenges.tls(hostName(hello.ServerName))
	if c == nil {
		return nil, errors.New("nobody asked for a certificate")
	}
	return &tls.Config{Certificates: []tls.Certificate{*c}, NextProtos: hello.SupportedProtos}, nil
}

// Set says what containers have: from now on s answers for the names in their
// leases. It may be called again at any time.
func (s *Server) Set(leases []network.Lease) error {
	old := s.routes.Load()
	next, clashes := newTable(leases, old, s.status.changed)
	for _, c := range clashes {
		fmt.Fprintln(os.Stderr, "berth: ingress:", c)
	}
	s.routes.Store(next)
	old.closeUnused(next)
	s.authority.forget(next.hosts(container.TLSInternal))
	err := s.keeper.Set(next.hosts(container.TLSACME))
	s.status.changed()
	return err
}

// Serve answers on a listener of HTTP until Close.
func (s *Server) Serve(l net.Listener) error {
	return s.accept(l, func() error { return s.http.Serve(l) })
}

// ServeTLS answers on a listener of HTTPS until Close. HTTP redirects to the
// port of the last one.
func (s *Server) ServeTLS(l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		s.securePort.Store(int32(a.Port))
	}
	return s.accept(l, func() error { return s.https.ServeTLS(l, "", "") })
}
