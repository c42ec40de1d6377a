package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Limits of what is asked of the host's resolvers at a time.
const (
	maxAsking    = 64
	maxAllAsking = 512
)

// How long they may take. The next one is asked when one has not answered
// after patience; the first answer counts.
const (
	patience = 700 * time.Millisecond
	askLimit = 10 * time.Second
)

// cacheLimit bounds the answers that are kept, in bytes.
const cacheLimit = 1 << 20

// Upstream asks the resolvers of the host.
type Upstream struct {
	file   resolvConf
	port   uint16
	cache  cache
	asking clients
	own    atomic.Pointer[[]netip.Addr]
	liked  atomic.Int32 // the server that answered last

	mu     sync.Mutex
	flying map[flight]*call
}

// flight is a question that is being asked.
type flight struct {
	cacheKey
	tcp bool
}

// call is the answer to come.
type call struct {
	done  chan struct{}
	reply []byte
	err   error
}

// NewUpstream asks the resolvers that the file at path names, in the form of
// resolv.conf(5), and follows its changes.
func NewUpstream(path string) *Upstream {
	u := &Upstream{file: resolvConf{path: path}, port: Port, flying: map[flight]*call{}}
	u.cache.limit = cacheLimit
	u.asking = clients{limit: maxAsking, all: maxAllAsking}
	u.avoid(nil)
	return u
}

// avoid sets addresses that are never asked, since they are this server's own.
func (u *Upstream) avoid(own []netip.Addr) { u.own.Store(&own) }

func (u *Upstream) admit(client netip.Addr) bool { return u.asking.enter(client) }

func (u *Upstream) release(client netip.Addr) { u.asking.leave(client) }

// remembered writes an answer that is still valid into out, and gives its
// length, or 0.
func (u *Upstream) remembered(q *query, out []byte) int {
	if _, err := u.resolvers(); err != nil {
		return 0
	}
	return u.cache.get(q, time.Now(), out)
}

// resolvers are those of the host now. What others have said is forgotten.
func (u *Upstream) resolvers() (resolvers, error) {
	r, changed, err := u.file.current()
	if changed {
		u.cache.empty()
	}
	return r, err
}

// errNoResolvers says that there is nobody to ask.
var errNoResolvers = errors.New("the host has no resolvers")

// Ask gives the answer of the host's resolvers to q, whose identification is
// anybody's, by TCP where that is wanted. Who asks the same at the same time
// gets the same answer: a question that comes back to this server through one
// of its resolvers ends there.
func (u *Upstream) Ask(ctx context.Context, q *query, tcp bool) ([]byte, error) {
	servers, err := u.resolvers()
	if err != nil {
		return nil, err
	}
	key, shared := keyOf(q)
	if !shared {
		return u.exchange(ctx, servers, q, tcp)
	}
	c, first := u.join(flight{key, tcp})
	if !first {
		select {
		case <-c.done:
			return c.reply, c.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.reply, c.err = u.exchange(ctx, servers, q, tcp)
	if c.err == nil {
		u.cache.put(key, c.reply, time.Now())
	}
	u.mu.Lock()
	delete(u.flying, flight{key, tcp})
	u.mu.Unlock()
	close(c.done)
	return c.reply, c.err
}

// join gives the call for a question, and whether the caller has to make it.
func (u *Upstream) join(f flight) (c *call, first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.flying[f]; c != nil {
		return c, false
	}
	c = &call{done: make(chan struct{})}
	u.flying[f] = c
	return c, true
}

// result is what one server says.
type result struct {
	server int
	reply  []byte
	err    error
}

// usable reports whether no other server has to be asked.
func (r result) usable() bool {
	if r.err != nil {
		return false
	}
	rcode := int(r.reply[3] & 0xf)
	return rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError
}

// exchange asks one server after the other, and does not wait for a slow one
// before it asks the next.
func (u *Upstream) exchange(ctx context.Context, r resolvers, q *query, tcp bool) ([]byte, error) {
	servers := u.usable(r)
	if len(servers) == 0 {
		return nil, errNoResolvers
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	first := int(u.liked.Load())
	if r.rotate {
		first = rand.IntN(len(servers))
	}
	tries := len(servers) * r.attempts
	results := make(chan result, tries)
	begun, ended := 0, 0
	begin := func() {
		server := (first + begun) % len(servers)
		begun++
		go func() {
			reply, err := u.askOne(ctx, servers[server], r.timeout, q, tcp)
			results <- result{server, reply, err}
		}()
	}
	begin()
	next := time.NewTicker(patience)
	defer next.Stop()
	var last result
	for ended < tries {
		select {
		case got := <-results:
			ended++
			if got.usable() {
				u.liked.Store(int32(got.server))
				return got.reply, nil
			}
			if last.reply == nil || got.err == nil {
				last = got
			}
			if begun < tries {
				begin()
				next.Reset(patience)
			}
		case <-next.C:
			if begun < tries {
				begin()
			}
		case <-ctx.Done():
			return last.reply, lastError(last, ctx.Err())
		}
	}
	return last.reply, lastError(last, last.err)
}

// lastError is an error only where no server has answered anything.
func lastError(r result, err error) error {
	if r.reply != nil {
		return nil
	}
	return err
}

// usable are the servers that are not this one.
func (u *Upstream) usable(r resolvers) []netip.Addr {
	own := *u.own.Load()
	return slices.DeleteFunc(slices.Clone(r.servers), func(a netip.Addr) bool { return slices.Contains(own, a) })
}

// askOne asks one server. The question is the client's own, but for the
// identification.
func (u *Upstream) askOne(ctx context.Context, server netip.Addr, limit time.Duration, q *query, tcp bool) ([]byte, error) {
	network := "udp"
	if tcp {
		network = "tcp"
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, netip.AddrPortFrom(server, u.port).String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	id := uint16(rand.Uint32())
	b := make([]byte, 2+len(q.msg))
	copy(b[2:], q.msg)
	binary.BigEndian.PutUint16(b[2:], id)
	if tcp {
		if err := writeTCP(conn, b, len(q.msg)); err != nil {
			return nil, err
		}
		reply, err := readTCP(conn, maxTCP)
		if err == nil && !answers(reply, id, q) {
			err = fmt.Errorf("%v answers something else", server)
		}
		return reply, err
	}
	if _, err := conn.Write(b[2:]); err != nil {
		return nil, err
	}
	return receiveUDP(conn, id, q)
}

// receiveUDP waits for the answer, and takes no notice of what is none. One that
// is longer than any client takes is cut.
func receiveUDP(conn net.Conn, id uint16, q *query) ([]byte, error) {
	reply := make([]byte, maxQuery+1)
	for {
		n, err := conn.Read(reply)
		if err != nil {
			return nil, err
		}
		if !answers(reply[:n], id, q) {
			continue
		}
		if n > maxQuery {
			n = headerLen + len(q.question())
			reply[2] |= bitTC
			clear(reply[6:headerLen])
		}
		return reply[:n], nil
	}
}
