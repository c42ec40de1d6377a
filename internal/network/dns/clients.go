package dns

import (
	"net/netip"
	"sync"
)

// clients counts what each client has going on, so that one that floods gets in
// its own way alone.
type clients struct {
	limit, all int // for each client, and for all together

	mu    sync.Mutex
	count map[netip.Addr]int
	total int
}

// enter reports whether the client may have one more.
func (c *clients) enter(client netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= c.all || c.count[client] >= c.limit {
		return false
	}
	if c.count == nil {
		c.count = map[netip.Addr]int{}
	}
	c.count[client]++
	c.total++
	return true
}

// leave takes back what enter gave.
func (c *clients) leave(client netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.count[client]--; c.count[client] == 0 {
		delete(c.count, client)
	}
}
