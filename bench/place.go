package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// place is a network namespace of the bench's own, as of a host, a guest or
// another machine. It lasts as long as it is open, or something runs there.
type place struct{ file *os.File }

// newPlace makes one, with its loopback interface up.
func newPlace(ctx context.Context) (*place, error) {
	p := &place{}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		p.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := p.run(ctx, "ip link set lo up"); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// newPlaces makes so many.
func newPlaces(ctx context.Context, n int) (all []*place, err error) {
	for range n {
		p, err := newPlace(ctx)
		if err != nil {
			return nil, errors.Join(err, closePlaces(all))
		}
		all = append(all, p)
	}
	return all, nil
}

func closePlaces(all []*place) error {
	var errs []error
	for _, p := range all {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

func (p *place) close() error { return p.file.Close() }

// path is where programs find p while this process runs.
func (p *place) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.file.Fd()) }

// onThread calls f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// do calls f on a thread in p. Sockets that it opens and processes that it
// starts stay there.
func (p *place) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(p.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// start starts a program in p.
func (p *place) start(cmd *exec.Cmd) error { return p.do(cmd.Start) }

// run runs commands in p, each with its words separated by blanks.
func (p *place) run(ctx context.Context, commands ...string) error {
	return p.do(func() error { return runAll(ctx, commands...) })
}

// runAll runs commands where this thread is.
func runAll(ctx context.Context, commands ...string) error {
	for _, c := range commands {
		words := strings.Fields(c)
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", c, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// wire makes a veth between p, where it is called name, and another place,
// where it is eth0 and has the address. Nothing is on its way but the two.
func (p *place) wire(ctx context.Context, name, address string, other *place, otherAddress string) error {
	err := p.run(ctx,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", name, other.path()),
		fmt.Sprintf("ip addr add %s dev %s", address, name),
		fmt.Sprintf("ip link set %s up", name))
	if err != nil {
		return err
	}
	return other.run(ctx, "ip addr add "+otherAddress+" dev eth0", "ip link set eth0 up")
}
