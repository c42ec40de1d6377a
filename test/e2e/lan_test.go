//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/network/networktest"
)

// lan is a berth whose host's network is the test's own: a network namespace,
// with the embedded supervisor, or, where units keep guests, all of a nested
// machine's, which such tests have one after the other.
type lan struct {
	*berth
	enter []string // the command that enters it
	netns *os.File // the same; nil: where this process is
}

func newLan(t *testing.T) *lan {
	t.Helper()
	if underSystemd() {
		return &lan{newBerth(t), []string{"env"}, nil}
	}
	t.Parallel()
	files, errs := make(chan *os.File, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		f, openErr := os.Open("/proc/thread-self/ns/net")
		files <- f
		errs <- errors.Join(err, openErr)
	}()
	netns := <-files
	must(t, <-errs)
	t.Cleanup(func() { must(t, netns.Close()) }) // after that of newBerth
	l := &lan{newBerth(t), []string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), netns.Fd())}, netns}
	l.binary = filepath.Join(l.work, "berth")
	must(t, os.WriteFile(l.binary, fmt.Appendf(nil, "#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(l.enter, " "), os.Getenv(binaryVariable)), 0o755))
	l.host("ip link set lo up")
	return l
}

// host runs a script on the host, and returns what it writes.
func (l *lan) host(script string) string {
	l.Helper()
	b, err := exec.Command(l.enter[0], append(l.enter[1:len(l.enter):len(l.enter)], "sh", "-euc", script)...).CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", script, err, b)
	}
	return strings.TrimSpace(string(b))
}

// while has the host run a script again and again as long as f runs: what is
// ruined once may be mended before a busy machine looks.
func (l *lan) while(script string, f func()) {
	l.Helper()
	goes := l.file("goes", "")
	loop := exec.Command(l.enter[0], append(l.enter[1:len(l.enter):len(l.enter)], "sh", "-euc", "while test -e "+goes+"; do "+script+"; sleep 0.02; done")...)
	must(l, loop.Start())
	f()
	must(l, os.Remove(goes))
	must(l, loop.Wait())
}

// link makes an interface of the host with `ip link add NAME …`, which ends
// with the test.
func (l *lan) link(name, how string) {
	l.Helper()
	l.host("ip link add " + name + " " + how + "; ip link set " + name + " up")
	l.Cleanup(func() { l.host("ip link del " + name + " 2>&1 || true") })
}

// card makes an interface that is as one of hardware, with an address.
func (l *lan) card(name, mac, address string) {
	l.Helper()
	l.link(name, "address "+mac+" type veth peer name far-"+name)
	l.host("ip link set far-" + name + " up; ip addr add " + address + " brd + dev " + name)
}

// links is all that a container could leave on the host's network.
func (l *lan) links() string {
	l.Helper()
	return l.host(`(ip -o link | sed -E 's/^[0-9]*: ([^ ]*): <.*[<,](UP)?[,>].* mtu ([0-9]*) .*(link.*)/\1 \2 \3 \4/'
		ip -o addr show scope global | sed 's/^[0-9]*://'; (ip -4 route show table all; ip -6 route show table all) | grep -vE '^(multicast|anycast|fe80|local fe80)' | sed 's/ linkdown//') | sort
		ip rule; ip -6 rule; nft list ruleset 2>&1 || true; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding`)
}

// guestLink is an interface of a guest as `ip -j addr` shows it.
type guestLink struct {
	Name      string `json:"ifname"`
	MTU       int    `json:"mtu"`
	MAC       string `json:"address"`
	Addresses []struct {
		Local  string `json:"local"`
		Length int    `json:"prefixlen"`
		Scope  string `json:"scope"`
	} `json:"addr_info"`
}

// guestLinks are the interfaces of a guest with their addresses, in one line
// each.
func (l *lan) guestLinks(name string) string {
	l.Helper()
	var all []guestLink
	must(l, json.Unmarshal([]byte(l.in(name, "ip -j addr")), &all))
	var out []string
	for _, k := range all {
		line := k.Name
		for _, a := range k.Addresses {
			if a.Scope == "global" {
				line += fmt.Sprintf(" %s/%d", a.Local, a.Length)
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// reaches asserts that an address answers a guest: that nobody listens there.
func (l *lan) reaches(name, address string) {
	l.Helper()
	l.has(l.in(name, "timeout 5 bash -c ': </dev/tcp/"+address+"/9' 2>&1 || true"), "Connection refused")
}

// lease is what a test reads of a container's lease.
type lease struct {
	Attached bool
	Links    []struct {
		Host, Bridge string
		Addresses    []string
		Gateways     []string
	}
}

func (l *lan) lease(name string) (k lease) {
	l.Helper()
	must(l, json.Unmarshal([]byte(l.read(filepath.Join(l.root, "run/berth/leases", name+".json"))), &k))
	return k
}

// guestPlace is where a guest is.
func (l *lan) guestPlace(name string) *networktest.Place {
	l.Helper()
	return networktest.PlaceOf(l, name, l.status(name).Leader)
}
