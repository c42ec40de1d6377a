package survey

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Listener is a socket of the machine that answers on a port.
type Listener struct {
	Protocol string // tcp or udp
	Address  netip.AddrPort
	inode    uint64
}

// Listeners are the sockets of this process's network namespace on which
// somebody listens.
func Listeners() ([]Listener, error) {
	var out []Listener
	for _, t := range []struct{ file, protocol, state string }{
		{"tcp", "tcp", "0A"}, {"tcp6", "tcp", "0A"}, {"udp", "udp", "07"}, {"udp6", "udp", "07"},
	} {
		b, err := os.ReadFile("/proc/thread-self/net/" + t.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		} else if err != nil {
			return nil, err
		}
		list, err := parseSockets(b, t.protocol, t.state)
		if err != nil {
			return nil, fmt.Errorf("/proc/net/%s: %w", t.file, err)
		}
		out = append(out, list...)
	}
	return out, nil
}

// Except are the sockets of list that the processes pids have not.
func Except(list []Listener, pids ...int) []Listener {
	own := map[string]bool{}
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		entries, _ := os.ReadDir(dir) // it may have ended
		for _, e := range entries {
			if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
				own[target] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(l Listener) bool { return own[l.link()] })
}

// Housemates are the processes of the guest with that leader, if it has the
// network of this process: those whose sockets are among Listeners.
func Housemates(leader int) []int {
	of := func(pid, namespace string) string {
		name, _ := os.Readlink(filepath.Join("/proc", pid, "ns", namespace)) // it may have ended
		return name
	}
	guest := strconv.Itoa(leader)
	home := of(guest, "pid")
	if home == "" || home == of("self", "pid") || of(guest, "net") != of("thread-self", "net") {
		return nil
	}
	var out []int
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		if pid, err := strconv.Atoi(filepath.Base(p)); err == nil && of(filepath.Base(p), "pid") == home {
			out = append(out, pid)
		}
	}
	return out
}

// link is what a descriptor of the socket is a link to in /proc.
func (l Listener) link() string { return fmt.Sprintf("socket:[%d]", l.inode) }

// parseSockets reads a table of sockets as /proc/net/tcp has it, and keeps
// those that are in a state.
func parseSockets(table []byte, protocol, state string) ([]Listener, error) {
	var out []Listener
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[0] == "sl" || f[3] != state {
			continue
		}
		local, err := parseAddrPort(f[1])
		if err != nil {
			return nil, err
		}
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, Listener{protocol, local, inode})
	}
	return out, lines.Err()
}

// parseAddrPort reads an address as words of the machine's own order, here
// little-endian ones, in hexadecimal digits.
func parseAddrPort(s string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(words)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	a, _ := netip.AddrFromSlice(b)
	p, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a, uint16(p)), err
}

// Answers reports whether l would get what arrives for an address; the zero
// Addr is any.
func (l Listener) Answers(a netip.Addr) bool {
	own := l.Address.Addr()
	switch {
	case !a.IsValid() || own == a || own.Unmap() == a:
		return true
	case own == netip.IPv6Unspecified():
		return true // of IPv4 too, unless it says otherwise, which /proc does not tell
	}
	return own.IsUnspecified() && own.Is4() == a.Is4()
}

// Holder names the process that has the socket, such as "nginx (PID 812)"; ""
// where it cannot be found, as in another PID namespace.
func (l Listener) Holder() string {
	want := l.link()
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		entries, err := os.ReadDir(filepath.Join(p, "fd"))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if target, err := os.Readlink(filepath.Join(p, "fd", e.Name())); err == nil && target == want {
				name, _ := os.ReadFile(filepath.Join(p, "comm"))
				return fmt.Sprintf("%s (PID %s)", strings.TrimSpace(string(name)), filepath.Base(p))
			}
		}
	}
	return ""
}
