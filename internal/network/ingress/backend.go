package ingress

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/berth-containers/berth/container"
)

const (
	// dialTimeout is for one address of a guest.
	dialTimeout = 3 * time.Second
	// idleBackend is how long a connection to a guest is kept for the next
	// request: less than the 5 s after which many servers close it, since a
	// request that meets the end of its connection cannot always be repeated.
	idleBackend = 4 * time.Second
)

// errNoAddress says that a lease has no address that the host can reach.
var errNoAddress = errors.New("it has no address that the host reaches")

// backend is a port of a container that speaks HTTP.
type backend struct {
	name      container.Name
	port      uint16
	addrs     []netip.Addr
	transport *http.Transport

	mu      sync.Mutex
	state   container.Reach
	since   time.Time
	reason  string
	changed func() // called after state or reason
}

func newBackend(n container.Name, port uint16, addrs []netip.Addr, changed func()) *backend {
	b := &backend{name: n, port: port, addrs: addrs, changed: changed}
	b.transport = &http.Transport{
		DialContext:            b.dial,
		DisableCompression:     true, // what comes is passed on as it is
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        idleBackend,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		ReadBufferSize:         32 << 10,
		WriteBufferSize:        32 << 10,
	}
	return b
}

// dial tries the guest's addresses one after another.
func (b *backend) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	err := errNoAddress
	d := net.Dialer{Timeout: dialTimeout}
	for _, a := range b.addrs {
		var c net.Conn
		if c, err = d.DialContext(ctx, network, netip.AddrPortFrom(a, b.port).String()); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// note remembers how it went the last time that the guest was asked.
func (b *backend) note(state container.Reach, reason string) {
	b.mu.Lock()
	same := b.state == state && b.reason == reason
	if b.state != state {
		b.since = time.Now()
	}
	b.state, b.reason = state, reason
	b.mu.Unlock()
	if !same {
		b.changed()
	}
}

// health is what note was told last.
func (b *backend) health() (state container.Reach, since time.Time, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return cmp.Or(b.state, container.Untried), b.since, b.reason
}

// reason is what is wrong with a backend, without its addresses, which are
// nothing for strangers.
func reason(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case ok && op.Timeout():
		return "no answer in time"
	case ok:
		for inner := error(op); inner != nil; inner = errors.Unwrap(inner) {
			err = inner
		}
	}
	return err.Error()
}
