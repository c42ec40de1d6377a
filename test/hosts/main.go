// Command hosts runs the end-to-end suite on this machine, with the embedded
// supervisor, and on hosts with systemd as PID 1: on Debian 12, 13 and sid,
// each a machine nested inside this one; see package nested. There the suite
// of faults follows; see package inside. Two more hosts, managers12 and
// managers13, have what manages networks and firewalls, and go through the suite of
// that alone, where they are asked for; see package inside. It needs root,
// mmdebstrap, systemd-nspawn, nsenter and a Debian mirror, and ends with one line
// a host:
//
//	go run ./test/hosts
//	embedded 50 passed, 0 failed
//	debian12 60 passed, 0 failed
//	debian13 60 passed, 0 failed
//	sid 60 passed, 0 failed
//
// Tests that prove the same on each host with systemd are shared among these,
// which say what they leave to which other one; see docs/adr/0032. -whole takes
// all through each.
//
// With arguments it runs these as a command on each nested host instead, where
// berth is installed and the test's image is in the cache:
//
//	go run ./test/hosts -hosts sid -- berth doctor
//
// It reads the environment of the suite, of which BERTH_TEST_BIN, _DIR and
// _CACHE are about this machine; all others are handed on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/berth-containers/berth/test/hosts/nested"
)

// options are the flags and what the environment says.
type options struct {
	hosts      []string
	jobs       int
	run        string
	suite      string
	whole      bool
	supervisor string
	timeout    time.Duration
	verbose    bool
	command    []string

	berth string // the program to test; "" if it is to be built
	dir   string
	cache string
}

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	ok := false
	if err == nil {
		ok, err = runAll(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hosts:", err)
	}
	if err != nil || !ok {
		return 1
	}
	return 0
}

func parseFlags(args []string) (options, error) {
	o := options{
		berth: os.Getenv("BERTH_TEST_BIN"),
		dir:   either("BERTH_TEST_DIR", "/var/tmp"),
		cache: either("BERTH_TEST_CACHE", "/var/cache/berth-test"),
	}
	var names string
	f := flag.NewFlagSet("hosts", flag.ContinueOnError)
	f.StringVar(&names, "hosts", strings.Join(allNames(false), ","), "the hosts, in this order, of which there are "+strings.Join(allNames(true), ", "))
	f.StringVar(&o.run, "run", "", "run only the tests that match the `REGEXP`, as go test does; on hosts with managers it follows TestBeside")
	f.IntVar(&o.jobs, "jobs", 4, "the `NUMBER` of hosts at a time")
	f.StringVar(&o.supervisor, "supervisor", "", "`NAME` of the supervisor on nested hosts, embedded or systemd, instead of what berth chooses")
	f.StringVar(&o.suite, "suite", "", "run only this `SUITE`: e2e, faults or packages")
	f.BoolVar(&o.whole, "whole", false, "run all tests on each host, also those that prove the same on all with systemd; so does -run")
	f.DurationVar(&o.timeout, "timeout", 20*time.Minute, "the time that each suite may take on one host")
	f.BoolVar(&o.verbose, "v", false, "show all that the suite says, not just what is about failures")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.command = f.Args()
	for name := range strings.SplitSeq(names, ",") {
		if !slices.Contains(allNames(true), name) {
			return o, fmt.Errorf("there is no host %q, but %s", name, strings.Join(allNames(true), ", "))
		}
		if name != thisMachine || len(o.command) == 0 {
			o.hosts = append(o.hosts, name)
		}
	}
	return o, nil
}

// thisMachine is the name of the machine that hosts are nested in.
const thisMachine = "embedded"

// allNames are those of all hosts, with or without those that have managers of
// networks.
func allNames(managers bool) []string {
	names := []string{thisMachine}
	for _, d := range nested.Distributions() {
		if managers || !d.Managers {
			names = append(names, d.Name)
		}
	}
	return names
}

func either(variable, otherwise string) string {
	if v := os.Getenv(variable); v != "" {
		return v
	}
	return otherwise
}

// runAll takes the suite through all hosts, also when one fails, and says at
// the end how it went.
func runAll(ctx context.Context, o options) (ok bool, err error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.cacheImages(ctx); err != nil {
		return false, err
	}
	all := make([]*results, len(o.hosts))
	begun, before := time.Now(), processors()
	slots := make(chan struct{}, max(1, o.jobs))
	var wg sync.WaitGroup
	for i, name := range o.hosts {
		slots <- struct{}{}
		wg.Go(func() {
			all[i] = b.on(ctx, name)
			<-slots
		})
	}
	wg.Wait()
	say("all hosts", fmt.Sprintf("done, with the processors idle for %.0f %% of the time,", processors().idleSince(before)), begun)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if len(o.command) == 0 {
		conclude(all)
	}
	return !slices.ContainsFunc(all, func(r *results) bool { return !r.ok() }), nil
}

// conclude says again, for who sees the end alone, what tests said as they
// failed, and then how it went on each host.
func conclude(all []*results) {
	for _, r := range all {
		for _, why := range r.why {
			fmt.Fprintln(os.Stderr, why)
		}
	}
	for _, r := range all {
		fmt.Println(r.closing())
	}
}
