package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"

	"github.com/berth-containers/berth/container"
)

// newProxy passes on what exchanges ask for.
func newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     toBackend{},
		ErrorHandler:  failed,
		BufferPool:    &buffers{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}},
		FlushInterval: -1, // what the guest sends goes on at once
		ErrorLog:      nobody(),
	}
}

// exchangeKey is where a request's context has its exchange.
type exchangeKey struct{}

func withExchange(r *http.Request, x *exchange) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
}

func exchangeOf(r *http.Request) *exchange {
	return r.Context().Value(exchangeKey{}).(*exchange)
}

// toBackend is the http.RoundTripper that asks the backend of an exchange.
type toBackend struct{}

// RoundTrip implements http.RoundTripper.
func (toBackend) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r)
	res, err := x.route.transport.RoundTrip(r)
	switch {
	case err == nil:
		x.route.note(container.Reached, "")
		if res.StatusCode == http.StatusSwitchingProtocols {
			x.status = res.StatusCode // which then does not come through WriteHeader
		}
	case r.Context().Err() == nil && x.bodyFailure() == nil: // else it was the client
		x.route.note(container.Unreached, reason(err))
	}
	return res, err
}

// rewrite makes the request for the guest. The name is the one that was asked
// for, and about the client the guest is told by the usual headers, in which
// nothing is left of what the client itself wrote there.
func rewrite(p *httputil.ProxyRequest) {
	x := exchangeOf(p.In)
	p.Out.URL.Scheme = "http"
	p.Out.URL.Host = net.JoinHostPort(string(x.route.name), fmt.Sprint(x.route.port))
	p.Out.URL.RawQuery = p.In.URL.RawQuery // also where Go would not understand it
	p.Out.Host = p.In.Host
	p.Out.Trailer = p.In.Trailer // it is filled when the body has been read
	for name := range p.Out.Header {
		if forged(name) {
			delete(p.Out.Header, name)
		}
	}
	p.SetXForwarded()
	if client, _, err := net.SplitHostPort(p.In.RemoteAddr); err == nil {
		p.Out.Header.Set("X-Real-Ip", client)
	}
}

// forged reports whether a header is one by which guests are told about their
// clients, or would be taken for such by a program that, as CGI does, makes no
// difference between a dash and an underscore. "Proxy" is among them: CGI makes
// it HTTP_PROXY, by which programs choose whom to ask.
func forged(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch name {
	case "forwarded", "x-real-ip", "proxy":
		return true
	}
	return strings.HasPrefix(name, "x-forwarded-")
}

// failed answers for a guest that did not.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	x.failure = err.Error()
	switch left := x.bodyFailure(); {
	case errors.Is(left, os.ErrDeadlineExceeded):
		say(w, http.StatusRequestTimeout, "berth: the request did not go on\n")
		return
	case left != nil:
		say(w, http.StatusBadRequest, "berth: the request did not come to its end\n")
		return
	case r.Context().Err() != nil || errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody listens any more
	}
	text := fmt.Sprintf("berth: the container %s does not answer on port %d: %s\n", x.route.name, x.route.port, reason(err))
	say(w, http.StatusBadGateway, text)
}

// say answers with plain text.
func say(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // who does not listen has gone
}

// buffers are what bodies are copied through.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return *b.pool.Get().(*[]byte) }

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

// plain answers on the port of HTTP.
func (s *Server) plain(w http.ResponseWriter, r *http.Request) {
	host := hostName(r.Host)
	if answer, ok := s.keeper.challenges.http(host, r.URL.Path); ok {
		say(w, http.StatusOK, answer)
		return
	}
	route := s.routes.Load().find(host)
	if route == nil {
		unknown(w)
		return
	}
	exchangeOf(r).route = route
	switch _, err := s.certificate(route); {
	case route.TLS == container.TLSOff:
		s.proxy.ServeHTTP(w, r)
	case err != nil:
		w.Header().Set("Retry-After", "30")
		say(w, http.StatusServiceUnavailable, fmt.Sprintf("berth: there is no certificate for %s yet\n", host))
	default:
		s.redirect(w, r, host)
	}
}

// redirect sends to the same address with HTTPS.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, host string) {
	if port := s.securePort.Load(); port != 443 {
		host = net.JoinHostPort(host, fmt.Sprint(port))
	}
	uri := r.RequestURI // as it came, if it is not a whole URL
	if !strings.HasPrefix(uri, "/") {
		uri = r.URL.RequestURI()
	}
	w.Header().Set("Cache-Control", "no-store") // the owner may think again
	http.Redirect(w, r, "https://"+host+uri, http.StatusPermanentRedirect)
}

// secure answers on the port of HTTPS. A connection is for the name that it was
// made for, by which its certificate was chosen.
func (s *Server) secure(w http.ResponseWriter, r *http.Request) {
	t := s.routes.Load()
	route := t.find(hostName(r.Host))
	if route == nil || route.TLS == container.TLSOff || route != t.find(hostName(r.TLS.ServerName)) {
		say(w, http.StatusMisdirectedRequest, "berth: this connection is for another name\n")
		return
	}
	exchangeOf(r).route = route
	s.proxy.ServeHTTP(w, r)
}

func unknown(w http.ResponseWriter) {
	say(w, http.StatusNotFound, "berth: nothing answers for this name here\n")
}

// scheme is the scheme of the request's URL.
func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
