package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fleetSize is how many containers are started at once.
const fleetSize = 50

// measureFleet gives the row of many starts at once.
func measureFleet(ctx context.Context, l *lab) ([]row, error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.makeContainers(ctx, "fleet", fleetSize, t); err != nil {
		return nil, err
	}
	f := fleet{lab: l}
	for range fleetSize {
		b, err := l.newOverlay(t.rootfs)
		if err != nil {
			return nil, err
		}
		f.peers = append(f.peers, b)
	}
	if err := f.findBest(ctx); err != nil {
		return nil, err
	}
	l.say("measure %d rounds", l.n)
	s, err := interleave(ctx, l.n, l.fleetCycle, f.cycle)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("the peer of the %d is bare overlay, since %d copies would not fit, %d at a time, the best of %s; its inotify limit is raised for it", fleetSize, fleetSize, f.parallel, f.tried)
	return []row{{What: fmt.Sprintf("start %d containers at once; all are ready", fleetSize), Berth: s[0][0], Peer: s[1][0], Ratio: 1.1, Notes: []string{note, noteOverlay}}}, nil
}

// fleetCycle starts all containers, gives the time, and stops them.
func (l *lab) fleetCycle(ctx context.Context) ([]float64, error) {
	_, took, err := l.run(ctx, "start", "--all")
	if err == nil {
		err = l.allRun(ctx, fleetSize)
	}
	_, _, stopped := l.run(ctx, "stop", "--all")
	l.say("berth: %.0f ms", ms(took))
	return []float64{ms(took)}, errors.Join(err, stopped)
}

// fleet are peers that are started at once.
type fleet struct {
	lab      *lab
	peers    []*bare
	parallel int    // so many at a time
	tried    string // for people
}

// findBest finds the number of starts at a time that is the fastest, after a
// round in which all guests boot for the first time.
func (f *fleet) findBest(ctx context.Context) error {
	candidates := []int{2, 4, 8}
	f.parallel = candidates[1]
	if _, err := f.cycle(ctx); err != nil {
		return err
	}
	var tried []string
	best, fastest := 0, 0.0
	for _, n := range candidates {
		f.parallel = n
		took, err := f.cycle(ctx)
		if err != nil {
			return err
		}
		tried = append(tried, fmt.Sprintf("%d (%.1f s)", n, took[0]/1000))
		if best == 0 || took[0] < fastest {
			best, fastest = n, took[0]
		}
	}
	f.parallel, f.tried = best, strings.Join(tried, ", ")
	return nil
}

// cycle starts all peers, gives the time, and stops them.
func (f *fleet) cycle(ctx context.Context) (values []float64, err error) {
	lower, err := raiseInotify(fleetSize * perGuest)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lower()) }()
	for i, b := range f.peers {
		if err := b.prepare(); err != nil {
			return nil, errors.Join(err, f.release(i))
		}
	}
	begun := time.Now()
	err = each(f.peers, f.parallel, func(b *bare) error { _, err := b.start(ctx); return err })
	took := time.Since(begun)
	if err != nil {
		return nil, errors.Join(err, f.release(len(f.peers)))
	}
	f.lab.say("bare, %d at a time: %.0f ms", f.parallel, ms(took))
	return []float64{ms(took)}, each(f.peers, len(f.peers), func(b *bare) error { _, err := b.stop(ctx); return err })
}

func (f *fleet) release(n int) error {
	return each(f.peers[:n], n, (*bare).release)
}

// each calls do for every peer, n at a time.
func each(peers []*bare, n int, do func(*bare) error) error {
	errs := make([]error, len(peers))
	slots := make(chan struct{}, n)
	var wg sync.WaitGroup
	for i, b := range peers {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = do(b)
			<-slots
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// perGuest is how many inotify instances a guest takes, at most; see
// inotify(7) for the limit, which holds for all guests together.
const perGuest = 8

const inotifyLimit = "/proc/sys/fs/inotify/max_user_instances"

// raiseInotify makes room for n more instances than are usual on a host. The
// function it returns puts the limit back.
func raiseInotify(n int) (lower func() error, err error) {
	before, err := readLimit()
	if err != nil || before >= n+128 {
		return func() error { return nil }, err
	}
	raised := n + 1024
	return func() error {
		if now, err := readLimit(); err != nil || now != raised { // somebody else has changed it
			return err
		}
		return os.WriteFile(inotifyLimit, strconv.AppendInt(nil, int64(before), 10), 0)
	}, os.WriteFile(inotifyLimit, strconv.AppendInt(nil, int64(raised), 10), 0)
}

func readLimit() (int, error) {
	b, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
