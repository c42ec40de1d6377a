package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// streamTime is how long data is sent in one trial, and streams how many there are
// where others take one: what a machine carries changes from second to second, so
// that many short trials in turn are told apart better than a few long ones.
const (
	streamTime = 100 * time.Millisecond
	streams    = 10
)

// server accepts connections in a place, and does serve with each.
type server struct{ listener net.Listener }

func (p *place) serve(address string, serve func(net.Conn)) (s server, err error) {
	err = p.do(func() (err error) {
		s.listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		return s, err
	}
	go func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return // it was closed
			}
			go func() {
				serve(c)
				c.Close()
			}()
		}
	}()
	return s, nil
}

func (s server) close() error { return s.listener.Close() }

// sink reads all that comes, and tells how much, for a byte that is asked for
// at the end of the stream.
func sink(c net.Conn) {
	n, err := onProcessor(1, c, func(fd int) (n int64, err error) {
		b := make([]byte, streamBuffer)
		for {
			k, err := unix.Read(fd, b)
			if n += int64(k); k <= 0 || err != nil {
				return n, err
			}
		}
	})
	if err == nil {
		fmt.Fprintln(c, n)
	}
}

// onProcessor calls f with a connection whose reads and writes wait, on a thread
// that stays on one processor, counted from 0. Where two threads are put, and what
// wakes them, changes what a connection carries by a half.
func onProcessor(i int, c net.Conn, f func(fd int) (int64, error)) (n int64, err error) {
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	fd := int(file.Fd())
	if err := unix.SetNonblock(fd, false); err != nil {
		return 0, err
	}
	// The machine's own choice may be one that measures, and paces what it sends.
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno"); err != nil {
		return 0, err
	}
	err = onThread(func() (err error) {
		var all, one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &all); err != nil {
			return err
		}
		for cpu, left := 0, i%all.Count(); left >= 0; cpu++ {
			if all.IsSet(cpu) {
				if left--; left < 0 {
					one.Set(cpu)
				}
			}
		}
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return err
		}
		n, err = f(fd)
		return err
	})
	return n, errors.Join(err, unix.SetNonblock(fd, true))
}

// streamBuffer is how much is read and written at once.
const streamBuffer = 128 << 10

// dial connects from p.
func (p *place) dial(ctx context.Context, to string) (c net.Conn, err error) {
	err = p.do(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "tcp", to)
		return err
	})
	return c, err
}

// stream sends from p to a sink, and gives the gigabits a second that arrived.
func (p *place) stream(to string) trial {
	return func(ctx context.Context) ([]float64, error) {
		c, err := p.dial(ctx, to)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		begun := time.Now()
		_, err = onProcessor(0, c, func(fd int) (int64, error) {
			b := make([]byte, streamBuffer)
			for time.Since(begun) < streamTime {
				if _, err := unix.Write(fd, b); err != nil {
					return 0, err
				}
			}
			return 0, nil
		})
		if err != nil {
			return nil, err
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return nil, err
		}
		var n int64
		if _, err := fmt.Fscan(c, &n); err != nil {
			return nil, err
		}
		return []float64{float64(n) * 8 / 1e9 / time.Since(begun).Seconds()}, nil
	}
}
