package dns

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// resolvers are the name servers of the host, as resolv.conf(5) has them.
type resolvers struct {
	servers  []netip.Addr
	timeout  time.Duration // of one try
	attempts int           // of all servers
	rotate   bool
}

// readResolvers reads a file in the form of resolv.conf(5). One that is not
// there names no servers.
func readResolvers(path string) (resolvers, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return resolvers{}, nil
	} else if err != nil {
		return resolvers{}, err
	}
	c, err := dns.ClientConfigFromReader(strings.NewReader(string(b)))
	if err != nil {
		return resolvers{}, fmt.Errorf("read %s: %w", path, err)
	}
	r := resolvers{
		timeout:  time.Duration(min(max(c.Timeout, 1), 30)) * time.Second,
		attempts: min(max(c.Attempts, 1), 5),
	}
	for _, s := range c.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			r.servers = append(r.servers, a.Unmap())
		}
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "options" {
			r.rotate = slices.Contains(f, "rotate")
		}
	}
	return r, nil
}

// resolvConf is the file with the host's resolvers. It is read again whenever
// it is another one: to look costs a microsecond.
type resolvConf struct {
	path string

	mu   sync.Mutex
	seen stamp
	have resolvers
	read bool
}

// stamp tells contents of a file apart without reading them.
type stamp struct {
	dev, ino uint64
	size     int64
	changed  unix.Timespec
}

// current are the resolvers now, and whether they are others than the last
// time. While the file cannot be read they stay.
func (c *resolvConf) current() (r resolvers, changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var st unix.Stat_t
	var now stamp
	if err := unix.Stat(c.path, &st); err == nil {
		now = stamp{uint64(st.Dev), st.Ino, st.Size, st.Ctim}
	}
	if c.read && now == c.seen {
		return c.have, false, nil
	}
	if r, err = readResolvers(c.path); err != nil {
		return c.have, false, err
	}
	changed = c.read
	c.have, c.seen, c.read = r, now, true
	return r, changed, nil
}
