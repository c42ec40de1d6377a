package dns

import (
	"bytes"
	"sync"
	"time"
)

// cache keeps answers of others, up to a limit of bytes.
type cache struct {
	limit int

	mu   sync.Mutex
	kept map[cacheKey]*kept
	size int
}

// cacheKey is what makes two questions the same.
type cacheKey struct {
	name         string // in small letters, in the form of messages
	qtype, class uint16
	flags        byte // RD, AD and CD
	edns, do     bool
}

type kept struct {
	msg []byte
	answered
	since time.Time
}

// keyOf is the key of a question. Those with something in it that is only for
// one client have none.
func keyOf(q *query) (cacheKey, bool) {
	return cacheKey{string(q.lower()), q.qtype, q.class, flagsOf(q), q.edns, q.do}, q.plain
}

func flagsOf(q *query) byte { return q.msg[2]&bitRD<<7 | q.msg[3]&(bitAD|bitCD) }

// get writes the answer to q into out, with the times to live that are left,
// and gives its length; 0 where there is none.
func (c *cache) get(q *query, now time.Time, out []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kept[cacheKey{string(q.lower()), q.qtype, q.class, flagsOf(q), q.edns, q.do}]
	if k == nil || !q.plain {
		return 0
	}
	passed := now.Sub(k.since)
	if passed >= k.life || passed < 0 {
		return 0
	}
	n := adapt(q, k.msg, out)
	if n == len(k.msg) {
		age(out[:n], k.ttlAt, uint32(passed/time.Second))
	}
	return n
}

// put keeps an answer for as long as it allows.
func (c *cache) put(key cacheKey, msg []byte, now time.Time) {
	a, ok := survey(msg)
	if !ok || len(msg) > c.limit/16 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[cacheKey]*kept{}
	}
	c.drop(key)
	if c.size+weight(key, msg) > c.limit {
		c.makeRoom(now, weight(key, msg))
	}
	c.kept[key] = &kept{bytes.Clone(msg), a, now}
	c.size += weight(key, msg)
}

// weight is about what an answer takes of memory.
func weight(key cacheKey, msg []byte) int { return len(key.name) + len(msg) + 200 }

func (c *cache) drop(key cacheKey) {
	if k := c.kept[key]; k != nil {
		c.size -= weight(key, k.msg)
		delete(c.kept, key)
	}
}

// makeRoom drops what is too old, and then any others, until a quarter is free,
// so that it is seldom needed.
func (c *cache) makeRoom(now time.Time, need int) {
	for key, k := range c.kept {
		if now.Sub(k.since) >= k.life {
			c.drop(key)
		}
	}
	for key := range c.kept {
		if c.size+need <= c.limit*3/4 {
			return
		}
		c.drop(key)
	}
}

// empty forgets everything.
func (c *cache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.size = nil, 0
}
