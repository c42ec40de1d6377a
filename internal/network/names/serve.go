package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/dhcp"
	"github.com/berth-containers/berth/internal/network/dns"
	"github.com/berth-containers/berth/internal/network/hosts"
	"github.com/berth-containers/berth/internal/network/loopback"
	"github.com/berth-containers/berth/internal/network/serving"
	"github.com/berth-containers/berth/internal/state"
)

// ErrEnded says that the process was asked to end while there was work.
var ErrEnded = errors.New("asked to end")

// serve serves until no lease needs it, leaves nothing behind, and gives the
// lock back. It reports whether a lease has come since: who brought it may have
// seen that the lock was held. When ctx ends, it returns ErrEnded.
func serve(ctx context.Context, o Options, lock *state.Lock, ready func(), leave func() error) (again bool, err error) {
	if err = serving.Sign(lock); err == nil {
		err = serveLocked(ctx, o, ready)
	}
	if err == nil {
		err = leave()
	}
	err = errors.Join(err, lock.Unlock())
	return Needed(o.Paths), err
}

// The pauses of a server: how long it gathers changes that come together, at
// least and at most, and after how long it tries again what did not work.
const (
	gather     = 5 * time.Millisecond
	gatherMost = 100 * time.Millisecond
	retry      = time.Second
)

// rest is a pause after a look at all leases that took so long: where many guests
// start, looks take a tenth of the time at most.
func rest(ctx context.Context, took time.Duration) {
	pause(ctx, min(max(gather, 9*took), gatherMost))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// server is the process with all that it serves.
type server struct {
	Options
	dns      *dns.Server
	dhcp     *dhcp.Server
	loopback *loopback.Proxy
	file     hosts.File
	resolved *hosts.Resolved // nil where it does not run
	problems []string        // that are known
	written  bool            // they are in the status file
}

// serveLocked serves until there are no leases, and then leaves nothing behind.
func serveLocked(ctx context.Context, o Options, ready func()) (err error) {
	upstream := dns.NewUpstream(o.Resolv)
	s := &server{Options: o, dns: dns.NewServer(upstream, o.Log), dhcp: dhcp.NewServer(o.Log), loopback: loopback.New(),
		file: hosts.File{Path: o.Hosts, Owner: o.Paths.Instance()}}
	defer func() { err = errors.Join(err, s.close(err == nil)) }()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	changed := make(chan struct{}, 1)
	if err := errors.Join(watchLeases(watching, o.Paths.Leases(), changed), watchLinks(watching, changed), watchHosts(watching, s.file, changed)); err != nil {
		return err
	}
	gone := make(chan struct{}, 1)
	if err := watchRules(watching, gone); err != nil {
		return err
	}
	go s.mend(watching, gone)
	lapsed := make(chan struct{}, 1)
	if err := watchForwarding(watching, lapsed); err != nil {
		return err
	}
	go s.renew(watching, lapsed)
	for {
		begun := time.Now()
		more, again := s.sync()
		took := time.Since(begun)
		if !more {
			return nil
		}
		ready()
		var timer <-chan time.Time
		if again {
			timer = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return ErrEnded
		case _, ok := <-s.resolvedChanged():
			if s.resolved.Forgotten(); !ok {
				s.resolved = nil
			}
		case <-timer:
		case <-changed:
		}
		rest(ctx, took)
	}
}

// mend makes the rules of guests anew whenever somebody takes them away, as the
// reload of a firewall may, until ctx ends.
func (s *server) mend(ctx context.Context, gone <-chan struct{}) {
	for {
		mended, err := network.Mend(ctx, s.Paths)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Log.Error("make the rules of nftables anew", "err", err)
		case mended:
			s.Log.Warn("somebody has removed the rules of nftables: they are made anew")
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return
		}
	}
}

// renew has the kernel forward again whenever somebody makes it cease to, as
// "sysctl --system" may, until ctx ends. Somebody who does so without end gets
// his way for most of the time.
func (s *server) renew(ctx context.Context, lapsed <-chan struct{}) {
	for {
		begun := time.Now()
		renewed, err := network.Renew(ctx, s.Paths)
		took := time.Since(begun)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Log.Error("look at the settings of the kernel", "err", err)
		case len(renewed) > 0:
			s.Log.Warn("somebody has changed settings of the kernel that guests need: they are set again", "set", fmt.Sprint(renewed))
			pause(ctx, retry)
		}
		select {
		case <-lapsed:
			rest(ctx, took)
		case <-ctx.Done():
			return
		}
	}
}

// resolvedChanged gives a value when systemd-resolved has to be told anew.
func (s *server) resolvedChanged() <-chan struct{} {
	if s.resolved == nil {
		return nil
	}
	return s.resolved.Changed()
}

// sync serves what leases say now. It reports whether there are any, and whether
// something did not work out and has to be tried again.
func (s *server) sync() (more, again bool) {
	t, err := read(s.Paths)
	if len(t.leases) == 0 && err == nil {
		return false, false
	}
	errs := []error{err,
		s.dns.Set(t.endpoints(index)),
		s.dhcp.Set(t.dhcpNetworks(index)),
		s.loopback.Set(t.forwards()),
		s.tellHost(t), // last, since a file is written to the disk
	}
	s.say(errs)
	return true, slices.ContainsFunc(errs, func(err error) bool { return err != nil })
}

// index is that of an interface of the host, or 0.
func index(name string) int {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return i.Index
}

// tellHost lets the host itself find the names: where it asks systemd-resolved,
// which can ask here as soon as there is a bridge, that is told to; elsewhere
// they are lines in a file.
func (s *server) tellHost(t table) error {
	var err error
	if s.resolved == nil && s.Bus {
		if s.resolved, err = hosts.OpenResolved(); err != nil {
			return errors.Join(err, s.file.Set(t.entries()))
		}
	}
	var links []hosts.Link
	if s.resolved != nil && s.resolved.Running() && hosts.AsksResolved(s.Resolv, s.Switch) {
		links = t.links(index)
	}
	if s.resolved != nil && s.resolved.Running() {
		err = s.resolved.Set(links)
	}
	if len(links) > 0 && err == nil {
		return s.file.Set(nil)
	}
	return errors.Join(err, s.file.Set(t.entries()))
}

// say makes problems known, when they are others than before.
func (s *server) say(errs []error) {
	var now []string
	for _, err := range errs {
		if err != nil {
			now = append(now, strings.Split(err.Error(), "\n")...)
		}
	}
	if s.written && slices.Equal(now, s.problems) {
		return
	}
	for _, p := range now {
		if !slices.Contains(s.problems, p) {
			s.Log.Error(p)
		}
	}
	s.problems = now
	if err := writeStatus(s.Paths, now); err != nil {
		s.Log.Error("write status", "err", err)
		return
	}
	s.written = true
}

// close ends all service. What the host knows of names it forgets only at the
// end of the work: else the next process follows.
func (s *server) close(done bool) error {
	err := errors.Join(s.dns.Close(), s.dhcp.Close(), s.loopback.Close())
	if done {
		err = errors.Join(err, s.file.Set(nil), state.RemoveFile(statusFile(s.Paths)))
		if s.resolved != nil {
			err = errors.Join(err, s.resolved.Close())
		}
	}
	return err
}
