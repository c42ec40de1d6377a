package hosts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// What systemd-resolved is on D-Bus; see org.freedesktop.resolve1(5).
const (
	resolvedName = "org.freedesktop.resolve1"
	resolvedPath = dbus.ObjectPath("/org/freedesktop/resolve1")
	manager      = resolvedName + ".Manager."
)

// answerLimit is how long systemd-resolved may take to answer.
const answerLimit = 5 * time.Second

// Link is an interface of the host by which names are asked for.
type Link struct {
	Index   int
	Servers []netip.Addr // where
	Domains []string     // names below which of them, without a dot at the end
}

// Resolved is systemd-resolved, which may run or not.
type Resolved struct {
	conn    *dbus.Conn
	running atomic.Bool
	told    []Link // what it knows; its last start was after nothing of it
	changed chan struct{}
}

// OpenResolved watches systemd-resolved, by the bus of the machine. Where there
// is no bus it gives nil. It starts nothing.
func OpenResolved() (*Resolved, error) {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, nil
	}
	r := &Resolved{conn: conn, changed: make(chan struct{}, 1)}
	if err := r.watch(); err != nil {
		return nil, errors.Join(fmt.Errorf("watch systemd-resolved: %w", err), conn.Close())
	}
	return r, nil
}

func (r *Resolved) watch() error {
	const bus = "org.freedesktop.DBus"
	err := r.conn.AddMatchSignal(dbus.WithMatchSender(bus), dbus.WithMatchInterface(bus), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, resolvedName))
	if err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 8)
	r.conn.Signal(signals)
	var runs bool
	if err := r.conn.BusObject().Call(bus+".NameHasOwner", 0, resolvedName).Store(&runs); err != nil {
		return err
	}
	r.running.Store(runs)
	go r.follow(signals)
	return nil
}

// follow sees systemd-resolved start and end.
func (r *Resolved) follow(signals <-chan *dbus.Signal) {
	defer close(r.changed)
	for s := range signals {
		if len(s.Body) != 3 || s.Body[0] != resolvedName {
			continue
		}
		r.running.Store(s.Body[2] != "")
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
}

// Changed gives a value when systemd-resolved has started or ended, after which
// it has to be told anew, and is closed when the bus is gone.
func (r *Resolved) Changed() <-chan struct{} { return r.changed }

// Forgotten says that systemd-resolved knows nothing of what it was told.
func (r *Resolved) Forgotten() { r.told = nil }

// Running reports whether it runs.
func (r *Resolved) Running() bool { return r.running.Load() }

// linkServer and linkDomain are what SetLinkDNS and SetLinkDomains take.
type linkServer struct {
	Family  int32
	Address []byte
}

type linkDomain struct {
	Domain    string
	RouteOnly bool
}

// Set has systemd-resolved ask for the domains of these links by them, and for
// nothing else, and takes back what it was told of others.
func (r *Resolved) Set(links []Link) error {
	if reflect.DeepEqual(links, r.told) {
		return nil
	}
	for _, was := range r.told {
		if !slices.ContainsFunc(links, func(l Link) bool { return l.Index == was.Index }) {
			_ = r.call("RevertLink", int32(was.Index)) // which may be gone
		}
	}
	r.told = nil
	for _, l := range links {
		if err := r.setLink(l); err != nil {
			return err
		}
	}
	r.told = links
	return nil
}

func (r *Resolved) setLink(l Link) error {
	var servers []linkServer
	for _, a := range l.Servers {
		family := int32(unix.AF_INET)
		if a.Is6() {
			family = unix.AF_INET6
		}
		servers = append(servers, linkServer{family, a.AsSlice()})
	}
	var domains []linkDomain
	for _, d := range l.Domains {
		domains = append(domains, linkDomain{d, true})
	}
	index := int32(l.Index)
	err := errors.Join(r.call("SetLinkDNS", index, servers), r.call("SetLinkDomains", index, domains))
	// Those that do not know these words yet need none of them.
	_ = r.call("SetLinkDefaultRoute", index, false)
	_ = r.call("SetLinkDNSSEC", index, "no")
	_ = r.call("SetLinkDNSOverTLS", index, "no")
	return err
}

func (r *Resolved) call(method string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	err := r.conn.Object(resolvedName, resolvedPath).CallWithContext(ctx, manager+method, dbus.FlagNoAutoStart, args...).Err
	if err != nil {
		return fmt.Errorf("systemd-resolved: %s: %w", method, err)
	}
	return nil
}

// Close takes everything back.
func (r *Resolved) Close() error {
	var err error
	if r.Running() {
		err = r.Set(nil)
	}
	return errors.Join(err, r.conn.Close())
}

// AsksResolved reports whether programs of the host ask systemd-resolved: it is
// the name server of resolv.conf(5), or nsswitch.conf(5) says so.
func AsksResolved(resolvConf, nsswitch string) bool {
	b, _ := os.ReadFile(resolvConf)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == "nameserver" && (f[1] == "127.0.0.53" || f[1] == "127.0.0.54") {
			return true
		}
	}
	b, _ = os.ReadFile(nsswitch)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == "hosts:" && strings.Contains(line, " resolve") {
			return true
		}
	}
	return false
}
